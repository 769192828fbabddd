"""scikit-surprise's SVD and SVD++: stochastic gradient descent, one rating at a time."""
from surprise import SVD, Dataset, Reader, SVDpp

from .. import job as given
from ..job import Job, Round

PACKAGE = "scikit-surprise"


def make(job: Job) -> Round:
    """Return a training that runs one epoch from new random weights in each round."""
    x, y = given.rows(job)
    ratings = [(*row, None) for row in zip(x[0].tolist(), x[1].tolist(), y.tolist(), strict=True)]
    rows = Dataset(Reader(rating_scale=(1, 5))).construct_trainset(ratings)
    n_factors = given.weights(job)["u_weight.weight"].shape[1]
    algorithm = {"SVD": SVD, "SVD++": SVDpp}[job.how](n_factors=n_factors, n_epochs=1,
                                                     random_state=job.seed)

    def train(steps: int) -> float:
        algorithm.fit(rows)
        return float("nan")  # it reports no training loss
    return train
