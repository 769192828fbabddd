"""What a module owns: tensors that learn, and tensors that are only kept."""
import numpy as np

from ..autograd import Tensor
from ..backend import Array, default_device, transfer


class Parameter(Tensor):
    """A tensor that learns: ``torch.nn.Parameter``.

    ``no_wd`` marks biases and the parameters of normalisation layers, which weight decay spares
    when a learner has ``bn_wd=False``. ``home`` is where its gradient goes while an optimizer
    owns it: a view into the arena of its layer group.

    >>> import numpy as np
    >>> Parameter(np.zeros(2, np.float32))
    tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ("home", "no_wd")

    def __init__(self, data: Array, no_wd: bool = False) -> None:
        super().__init__(transfer(data, default_device()), requires_grad=True)
        self.no_wd = no_wd
        self.home: Array | None = None

    def grad_values(self) -> Array | None:
        """All of the gradient that is not known to be zero, to be read or scaled in place."""
        return self.grad

    def gradient_array(self) -> Array:
        """The arena's view, or an array of its own while there is no optimizer."""
        return np.empty_like(self.data) if self.home is None else self.home


class Buffer(Tensor):
    """A tensor that is saved and moved with the module, but does not learn.

    >>> import numpy as np
    >>> Buffer(np.zeros(2, np.float32)).requires_grad
    False
    """

    __slots__ = ()

    def __init__(self, data: Array) -> None:
        super().__init__(transfer(data, default_device()))
