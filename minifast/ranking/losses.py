"""Losses that compare the scores of items with each other."""
from ..autograd import ShapeError, Tensor
from ..nn.losses import binary_cross_entropy_with_logits, cross_entropy


def bpr_loss(scores: Tensor, target: Tensor) -> Tensor:
    """Return the mean of -log sigmoid(score of the positive - score of a negative).

    Bayesian personalized ranking: a user should prefer the positive, an item that the user likes,
    to a negative, an item that the user has not rated. sigmoid(difference of the scores) is the
    probability of this preference.

    Parameters
    ----------
    scores : Tensor (n,)
        Scores, in the order of the target's elements.
    target : Tensor (bs, 1 + n_negatives)
        A row for each positive and its negatives, as `NegativeSampler` returns them. Only the
        shape is used.

    Returns
    -------
    Tensor
        One number.

    Raises
    ------
    ShapeError
        If the numbers of scores and targets differ.

    References
    ----------
    Rendle, S., Freudenthaler, C., Gantner, Z. and Schmidt-Thieme, L. (2009). BPR: Bayesian
    personalized ranking from implicit feedback. UAI. https://arxiv.org/abs/1205.2618

    Examples
    --------
    >>> from minifast import tensor
    >>> bpr_loss(tensor([2., 2., 2.]), tensor([[1., 0., 0.]]))
    tensor(0.6931)
    """
    rows = _in_rows(scores, target)
    differences = rows[:, :1] - rows[:, 1:]
    return binary_cross_entropy_with_logits(differences, differences.detach() * 0 + 1)


def sampled_softmax_loss(scores: Tensor, target: Tensor) -> Tensor:
    """Return the mean of -log softmax(row of scores)[0], the cross entropy of picking the positive.

    With one negative, it equals `bpr_loss`. With more, negatives with high scores have the largest
    gradients.

    Parameters
    ----------
    scores : Tensor (n,)
        Scores, in the order of the target's elements.
    target : Tensor (bs, 1 + n_negatives)
        A row for each positive and its negatives.

    Returns
    -------
    Tensor
        One number.

    Raises
    ------
    ShapeError
        If the numbers of scores and targets differ.

    Examples
    --------
    >>> from minifast import tensor
    >>> sampled_softmax_loss(tensor([2., 2., 2.]), tensor([[1., 0., 0.]]))
    tensor(1.0986)
    """
    rows = _in_rows(scores, target)
    return cross_entropy(rows, Tensor(rows.data[:, 0].astype("int64") * 0))


def multinomial_loss(scores: Tensor, liked: Tensor) -> Tensor:
    """Return the mean over users of -sum of log softmax(scores) over the items that they like.

    It is the cross entropy with all items as classes, once for each liked item of a user.

    Parameters
    ----------
    scores : Tensor (bs, n_items)
        Scores of all items for each user.
    liked : Tensor (bs, n_items)
        1 for items that the user likes, else 0.

    Returns
    -------
    Tensor
        One number.

    Raises
    ------
    ShapeError
        If the shapes differ.

    References
    ----------
    Liang, D., Krishnan, R. G., Hoffman, M. D. and Jebara, T. (2018). Variational autoencoders for
    collaborative filtering. WWW. https://arxiv.org/abs/1802.05814

    Examples
    --------
    >>> from minifast import tensor
    >>> multinomial_loss(tensor([[1., 1., 1., 1.]]), tensor([[1., 0., 0., 1.]]))
    tensor(2.7726)
    """
    if scores.shape != liked.shape:
        raise ShapeError(f"multinomial_loss: scores {scores.shape} and liked items {liked.shape} "
                         "differ")
    scores = scores - scores.detach().max(1, keepdims=True)  # so that exp does not overflow
    log_total = scores.exp().sum(1).log()
    return (log_total * liked.sum(1) - (scores * liked).sum(1)).mean()


def _in_rows(scores: Tensor, target: Tensor) -> Tensor:
    """Return the scores in the shape of the target."""
    if target.ndim != 2 or scores.numel() != target.numel():
        raise ShapeError(f"a ranking loss needs a score for each element of the target (bs, 1 + "
                         f"negatives), got {scores.shape} and {target.shape}; give the learner "
                         "batches of a NegativeSampler")
    return scores.reshape(target.shape)
