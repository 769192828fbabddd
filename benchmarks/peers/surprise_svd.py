"""scikit-surprise's SVD and SVD++: stochastic gradient descent, one rating after the other."""
from surprise import SVD, Dataset, Reader, SVDpp

from .. import job as given
from ..job import Job, Round

PACKAGE = "scikit-surprise"


def make(job: Job) -> Round:
    """One epoch over the training rows, from new random weights each time."""
    x, y = given.rows(job)
    ratings = [(*row, None) for row in zip(x[0].tolist(), x[1].tolist(), y.tolist(), strict=True)]
    rows = Dataset(Reader(rating_scale=(1, 5))).construct_trainset(ratings)
    n_factors = given.weights(job)["u_weight.weight"].shape[1]
    algorithm = {"SVD": SVD, "SVD++": SVDpp}[job.how](n_factors=n_factors, n_epochs=1,
                                                     random_state=job.seed)

    def train(steps: int) -> float:
        algorithm.fit(rows)
        return float("nan")  # it tells no training loss
    return train
