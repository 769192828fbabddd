"""Characters as data: windows of a text, bits per character, and text from a model."""
from math import log
from typing import Any, Self

import numpy as np

from ..autograd import Tensor, no_grad, tensor
from ..backend import generator
from ..data import ArrayDataset, DataBunch
from ..nn import CrossEntropyFlat, Module, cross_entropy
from ..nn.init import Seed

HostArray = np.ndarray[Any, Any]


class CharDataBunch(DataBunch):
    """Windows of a text: characters (bs, length), and those that follow them (bs, length).

    ``classes`` are the characters of the text, sorted; a batch has their numbers. Make one with
    ``from_text``. fastai's counterpart is ``TextLMDataBunch``.
    """

    train_ids: HostArray
    """The training part of the text, as numbers."""
    valid_ids: HostArray
    """The validation part."""

    @classmethod
    def from_text(cls, text: str, length: int = 64, valid_pct: float = .1, bs: int = 32,
                  step: int | None = None, seed: Seed = None, **kwargs: Any) -> Self:
        """Cut a text into windows; its last part is for validation.

        Parameters
        ----------
        text : str
            The text.
        length : int
            Characters in a window.
        valid_pct : float
            The share of the text that is for validation. Rows at random would not do, as they
            overlap with their neighbours.
        bs : int
            Windows in a batch.
        step : int, optional
            Distance between the starts of training windows; half of `length` by default. Those
            for validation do not overlap.
        seed : int or numpy.random.Generator, optional
            Source of the order of the windows.
        **kwargs
            Other arguments of `DataBunch.create`, such as ``device``.

        Returns
        -------
        CharDataBunch
            The data.

        Raises
        ------
        ValueError
            If the text is too short for a window in each part or for a batch, or an argument is
            out of range.

        Examples
        --------
        >>> data = CharDataBunch.from_text("abcd" * 20, length=4, bs=2)
        >>> data.classes, data.one_batch()[0].shape
        (['a', 'b', 'c', 'd'], (2, 4))
        """
        step = max(length // 2, 1) if step is None else step
        if length < 1 or step < 1 or not 0 < valid_pct < 1:
            raise ValueError("length and step are at least 1, and valid_pct lies between 0 and 1; "
                             f"got {length}, {step} and {valid_pct}")
        classes = sorted(set(text))
        ids = encode(text, classes)
        cut = len(ids) - int(valid_pct * len(ids))
        if min(cut, len(ids) - cut) <= length:
            raise ValueError(f"a text of {len(ids)} characters is too short for windows of "
                             f"{length} in both parts; use a longer text or a smaller length")
        data = cls.create(windows(ids[:cut], length, step), windows(ids[cut:], length, length),
                          bs=bs, seed=seed, classes=classes, loss_func=CrossEntropyFlat(),
                          **kwargs)
        data.train_ids, data.valid_ids = ids[:cut], ids[cut:]
        return data


def encode(text: str, classes: list[str]) -> HostArray:
    """Return the number of each character.

    Parameters
    ----------
    text : str
        The text.
    classes : list of str
        The characters that are known.

    Returns
    -------
    ndarray of int64
        The numbers.

    Raises
    ------
    ValueError
        If a character is unknown.

    Examples
    --------
    >>> encode("cab", ["a", "b", "c"])
    array([2, 0, 1])
    """
    if unknown := sorted(set(text) - set(classes)):
        raise ValueError(f"the data do not have the characters {''.join(unknown)!r}; "
                         f"they have {''.join(classes)!r}")
    number = {c: i for i, c in enumerate(classes)}
    return np.array([number[c] for c in text], np.int64)


def windows(ids: HostArray, length: int, step: int) -> ArrayDataset:
    """Return windows of a sequence as inputs, and the same windows one later as targets.

    Parameters
    ----------
    ids : ndarray (n,)
        The sequence, longer than `length`.
    length, step : int
        Length of a window, and the distance between the starts of two.

    Returns
    -------
    ArrayDataset
        Inputs and targets (windows, length).

    Examples
    --------
    >>> windows(np.arange(6), 2, 2)[:]
    (array([[0, 1], [2, 3]]), array([[1, 2], [3, 4]]))
    """
    found = np.lib.stride_tricks.sliding_window_view(ids, length + 1)[::step]
    return ArrayDataset(found[:, :-1].copy(), found[:, 1:].copy())


# ---------------------------------------------------------------- how good a model is


def bits_per_character(pred: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross entropy in bits, as a metric.

    Parameters
    ----------
    pred : Tensor (bs, length, classes)
        Scores.
    target : Tensor (bs, length)
        The numbers of the characters.

    Returns
    -------
    Tensor
        One number.

    Examples
    --------
    >>> float(bits_per_character(tensor([[[0., 0.]]]), tensor([[1]])))
    1.0
    """
    flat = pred.reshape(-1, pred.shape[-1])
    return cross_entropy(flat, target.reshape(-1)) * (1 / log(2))


def frequency_bits(train: HostArray, valid: HostArray, n: int, context: int = 0) -> float:
    """Return the bits per character of a model that only counts.

    It estimates the probability of a character, given the ones before it, as the frequency in
    the training part, with one added to each count.

    Parameters
    ----------
    train, valid : ndarray of int
        The numbers of the characters of both parts.
    n : int
        How many characters there are.
    context : int
        How many characters the model looks back: 0 for frequencies, 1 for pairs.

    Returns
    -------
    float
        The mean over the validation part of -log2 of the probability.

    Examples
    --------
    >>> frequency_bits(np.array([0, 1, 0, 1]), np.array([0, 1]), 2)
    1.0
    """
    counts = np.ones((n,) * (context + 1))
    np.add.at(counts, neighbours(train, context), 1)
    share = counts / counts.sum(-1, keepdims=True)
    return float(-np.log2(share[neighbours(valid, context)]).mean())


def neighbours(ids: HostArray, context: int) -> tuple[HostArray, ...]:
    """Return an index of all runs of ``context + 1`` numbers.

    Parameters
    ----------
    ids : ndarray (n,)
        A sequence.
    context : int
        How many numbers come before the last one of a run.

    Returns
    -------
    tuple of ndarray (n - context,)
        The first numbers of all runs, then the second ones, and so on.

    Examples
    --------
    >>> neighbours(np.array([5, 6, 7]), 1)
    (array([5, 6]), array([6, 7]))
    """
    n = len(ids) - context
    return tuple(ids[i:i + n] for i in range(context + 1))


# ---------------------------------------------------------------- text from a model


def generate(model: Module, data: CharDataBunch, start: str, n: int = 200, length: int = 64,
             temperature: float = 1., seed: Seed = None) -> str:
    """Return a start and what a model continues it with, one drawn character after the other.

    Parameters
    ----------
    model : Module
        Takes ids (1, n) to scores (1, n, classes).
    data : CharDataBunch
        Says which characters there are.
    start : str
        The beginning, at least one character.
    n : int
        How many characters to draw.
    length : int
        How many of the last characters the model sees.
    temperature : float
        Scores are divided by it: below 1 likely characters become more likely.
    seed : int, numpy.random.Generator or None
        Source of the draws.

    Returns
    -------
    str
        The text.

    Raises
    ------
    ValueError
        If the start is empty or has an unknown character, or the temperature is not above 0.

    Examples
    --------
    >>> from minifast.nn import Embedding
    >>> data = CharDataBunch.from_text("abc" * 20, length=2, bs=2)
    >>> model = Embedding(len(data.classes), len(data.classes), seed=0)
    >>> text = generate(model, data, "ab", n=5, seed=0)
    >>> len(text), text[:2]
    (7, 'ab')
    """
    if not start or temperature <= 0:
        raise ValueError("a start has at least one character, and a temperature is above 0; got "
                         f"{start!r} and {temperature}")
    rng, was_training = generator(seed), model.training
    ids = encode(start, data.classes).tolist()
    model.eval()
    with no_grad():
        for _ in range(n):
            scores = model(tensor([ids[-length:]], device=data.device))[0, -1].numpy()
            ids.append(draw(scores / temperature, rng))
    model.train(was_training)
    return "".join(data.classes[i] for i in ids)


def draw(scores: HostArray, rng: np.random.Generator) -> int:
    """Return a number drawn with the probabilities softmax(scores).

    Parameters
    ----------
    scores : ndarray (n,)
        The scores.
    rng : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    int
        A number below n.

    Examples
    --------
    >>> draw(np.array([0., 1e4]), np.random.default_rng(0))
    1
    """
    gumbel = -np.log(-np.log(rng.uniform(1e-12, 1, len(scores))))
    return int(np.argmax(scores + gumbel))
