"""Block: what a step sees of a parameter."""
from typing import Any

import numpy as np

from ..nn import Parameter


class Block:
    """A parameter with its state."""

    def __init__(self, p: Parameter, decays: bool) -> None:
        self.p, self.decays, self.steps = p, decays, 0
        self.state: dict[str, Any] = {}

    def start(self) -> None:
        """Fetch the arrays."""
        self.data: Any = self.p.data
        self.grad: Any = self.p.grad
        self.scratch: Any = np.empty_like(self.data)

    def __getitem__(self, name: str) -> Any:
        if name not in self.state:
            self.state[name] = np.zeros_like(self.p.data)
        return self.state[name]


Arena = Block
