"""What a module owns: tensors that learn, and tensors that are only kept."""
from ..autograd import Tensor
from ..backend import Array, default_device, transfer


class Parameter(Tensor):
    """A tensor that learns; ``torch.nn.Parameter``.

    Parameters
    ----------
    data : array
        The initial values; they are moved to the default device.
    no_wd : bool
        Whether weight decay leaves the parameter alone when a learner has ``bn_wd=False``: true
        of biases and of normalisation layers.

    Examples
    --------
    >>> import numpy as np
    >>> Parameter(np.zeros(2, np.float32))
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Array, no_wd: bool = False) -> None:
        super().__init__(transfer(data, default_device()), requires_grad=True)
        self.no_wd = no_wd


class Buffer(Tensor):
    """A tensor that is saved and moved with the module, but does not learn.

    Examples
    --------
    >>> import numpy as np
    >>> Buffer(np.zeros(2, np.float32)).requires_grad
    False
    """

    def __init__(self, data: Array) -> None:
        super().__init__(transfer(data, default_device()))
