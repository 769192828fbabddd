"""Names of fastai v1 that no other room has: functions, and methods of Learner and DataBunch."""
from ..train.callback import (AverageMetric as AverageMetric, CallbackHandler as CallbackHandler,
                              SmoothenValue as SmoothenValue)
from ..train.groups import ParameterModule as ParameterModule
from . import arguments as arguments
from . import hints as hints
from . import learner as learner
from . import recorder as recorder
from .bunch import accept_options as accept_options
from .functional import (F as F, TensorDataset as TensorDataset, add_metrics as add_metrics,
                         doc as doc, fit_one_cycle as fit_one_cycle, lr_find as lr_find,
                         one_cycle_scheduler as one_cycle_scheduler)
from .learner import to_fp16 as to_fp16, to_fp32 as to_fp32
from .loaders import TransformedLoader as TransformedLoader
from .modules import (apply_leaf as apply_leaf, children as children, first_layer as first_layer,
                      last_layer as last_layer, num_children as num_children,
                      one_param as one_param, requires_grad as requires_grad,
                      set_bn_eval as set_bn_eval, split_no_wd_params as split_no_wd_params,
                      trainable_params as trainable_params)
from .optimizers import optim as optim
from .tensors import (FloatTensor as FloatTensor, LongTensor as LongTensor, to_cpu as to_cpu,
                      to_data as to_data, to_detach as to_detach, to_device as to_device,
                      to_float as to_float, to_half as to_half, to_np as to_np)
from .values import (AdamW as AdamW, camel2snake as camel2snake, chunks as chunks,
                     even_mults as even_mults,
                     ifnone as ifnone, is_listy as is_listy, is_tuple as is_tuple,
                     listify as listify, series2cat as series2cat,
                     uniqueify as uniqueify)
