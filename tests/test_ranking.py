"""Ranking: measures against plain formulas, losses against finite differences, planted taste."""
from copy import deepcopy
from functools import cache
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from host import host
from sklearn.metrics import ndcg_score
from tiny import floats

from minifast import ShapeError, Tensor, gradcheck, no_grad, tensor
from minifast.backend import default_device
from minifast.collab import CollabLearner, collab_learner
from minifast.data import ArrayDataset, CollabDataBunch, DatasetType
from minifast.datasets import (
    PlantedRatings,
    movielens_100k_fold,
    planted_choices,
    planted_ratings,
)
from minifast.fold_in import add_user
from minifast.nn import BCEWithLogitsFlat
from minifast.ranking import (
    ItemsOfUsers,
    NegativeSampler,
    average_precision_at_k,
    bpr_learner,
    bpr_loss,
    evaluate_ranking,
    hit_rate_at_k,
    item_mean,
    items_of_users,
    most_popular,
    multinomial_loss,
    ndcg_at_k,
    popularity_aware,
    precision_at_k,
    rank_learner,
    recall_at_k,
    sampled_softmax_loss,
    top_k,
)

PARTS = ["valid", "test"]
KINDS = {"valid": DatasetType.Valid, "test": DatasetType.Test}


@cache
def chosen() -> pd.DataFrame:
    """Ratings of items that users choose by popularity and taste."""
    return planted_choices(truth(), taste=3., seed=1)


def truth() -> PlantedRatings:
    return planted_ratings(n_users=150, n_items=120, n_ratings=5000, n_factors=3, seed=1)


def bunch(ratings: pd.DataFrame | None = None, **kwargs: Any) -> CollabDataBunch:
    ratings = chosen() if ratings is None else ratings
    return CollabDataBunch.from_frames(ratings[:3500], ratings[3500:4200], ratings[4200:],
                                       item_name="movieId", **{"seed": 0, **kwargs})


def train(learn: CollabLearner, epochs: int, lr: float, **kwargs: Any) -> CollabLearner:
    with learn.no_logging():
        learn.fit_one_cycle(epochs, lr, **kwargs)
    return learn


# ---------------------------------------------------------------- measures


@pytest.fixture
def lists() -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (40, 15) with ties, relevant items, and the length of a list."""
    rng = np.random.default_rng(0)
    scores, relevant = rng.integers(0, 9, (40, 15)).astype(float), rng.random((40, 15)) < .25
    return scores, relevant[relevant.any(1)], 5


def test_measures_are_the_formulas(lists: Any) -> None:
    scores, relevant, k = lists
    scores = scores[:len(relevant)]
    best = top_k(scores, np.zeros(scores.shape, bool), k)
    hits, n_relevant = np.take_along_axis(relevant, best, 1), relevant.sum(1)
    for user, places in enumerate(best.tolist()):
        wanted = set(np.flatnonzero(relevant[user]).tolist())
        found = [item in wanted for item in places]
        gain = sum(1 / log2(place + 1) for place, hit in enumerate(found, start=1) if hit)
        ideal = sum(1 / log2(place + 1) for place in range(1, min(k, len(wanted)) + 1))
        precisions = [sum(found[:n]) / n for n in range(1, k + 1) if found[n - 1]]
        one = hits[user:user + 1], n_relevant[user:user + 1]
        assert precision_at_k(*one) == pytest.approx([sum(found) / k])
        assert recall_at_k(*one) == pytest.approx([sum(found) / len(wanted)])
        assert ndcg_at_k(*one) == pytest.approx([gain / ideal])
        assert average_precision_at_k(*one) == pytest.approx(
            [sum(precisions) / min(k, len(wanted))])
        assert hit_rate_at_k(*one) == [any(found)]


def test_ndcg_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    scores, relevant = rng.random((50, 20)), rng.random((50, 20)) < .2  # scores without ties
    relevant[:, 3] = True
    best = top_k(scores, np.zeros(scores.shape, bool), 7)
    ours = ndcg_at_k(np.take_along_axis(relevant, best, 1), relevant.sum(1)).mean()
    assert ours == pytest.approx(ndcg_score(relevant, scores, k=7))


def test_a_list_has_no_known_item_and_ends_where_none_is_left() -> None:
    scores, known = np.array([[3., 9., 5., 5.]] * 2), np.array([[0, 1, 0, 0], [1, 1, 1, 0]], bool)
    np.testing.assert_array_equal(top_k(scores, known, 3), [[2, 3, 0], [3, -1, -1]])


def brute_force(scores: np.ndarray, data: CollabDataBunch, part: str, k: int, threshold: float
                ) -> list[float]:
    """Precision, recall and NDCG from sets of labels, without the library's arrays."""
    frames = {"train": chosen()[:3500], "valid": chosen()[3500:4200], "test": chosen()[4200:]}
    users, items = data.categories
    known = [frames["train"], *([frames["valid"]] if part == "test" else [])]
    results = []
    for user, rows in frames[part].groupby("userId"):
        wanted = set(rows.movieId[rows.rating >= threshold])
        if not wanted or user not in users.numbers:
            continue
        rated = {item for frame in known for item in frame.movieId[frame.userId == user]}
        order = np.argsort(-scores[users.index(user)][1:], kind="stable")
        labels = [int(items.classes[i + 1]) for i in order]
        found = [label in wanted for label in [one for one in labels if one not in rated][:k]]
        ideal = sum(1 / log2(place + 2) for place in range(min(k, len(wanted))))
        results.append([sum(found) / k, sum(found) / len(wanted),
                        sum(hit / log2(place + 2) for place, hit in enumerate(found)) / ideal])
    return np.mean(results, axis=0).tolist()


@pytest.mark.parametrize("part", PARTS)
def test_the_table_is_what_sets_of_labels_give(part: str) -> None:
    data = bunch()
    scores = np.random.default_rng(2).random(tuple(map(len, data.categories)))
    table = evaluate_ranking({"a": scores, "b": lambda users: -scores[users]}, data, KINDS[part], 5)
    names = ["precision@5", "recall@5", "ndcg@5"]
    assert table.index.tolist() == ["most popular", "item mean", "a", "b"]
    for name, values in (("a", scores), ("b", -scores)):
        expected = brute_force(values, data, part, 5, 4)
        assert table.loc[name, names].tolist() == pytest.approx(expected)
    popular = np.broadcast_to(most_popular(data), scores.shape)
    assert table.loc["most popular", names].tolist() == pytest.approx(
        brute_force(popular, data, part, 5, 4))


def test_the_lists_are_those_of_recommend() -> None:
    """``recommend`` leaves out training and validation rows, as the measure on a test set does."""
    data = bunch()
    learn = train(collab_learner(data, 4, y_range=(0, 5.5), seed=0), 1, 1e-2)
    test = chosen()[4200:]
    liked = test[test.rating >= 4].groupby("userId").movieId.agg(set)
    precision = [np.mean([int(item) in wanted for item in learn.recommend(user, 5).movieId])
                 for user, wanted in liked.items() if user in data.categories[0].numbers]
    table = evaluate_ranking(learn, data, DatasetType.Test, k=5, baselines=False)
    assert table.loc["ranker", "precision@5"] == pytest.approx(np.mean(precision))


def test_unknown_items_are_relevant_and_users_without_liked_items_are_left_out() -> None:
    frame = pd.DataFrame({"user": [1, 1, 2, 3], "item": list("abab"), "rating": [5, 3, 4, 4]})
    test = pd.DataFrame({"user": [2, 2, 2, 3, 9], "item": list("bxyaa"),
                         "rating": [5, 5, 4, 1, 5]})
    data = CollabDataBunch.from_frames(frame, test=test, bs=2)
    table = evaluate_ranking(np.ones(3), data, DatasetType.Test, k=1, baselines=False)
    # user 2 has three relevant items, one of which can be found; user 3 likes none; 9 is unknown
    assert table.loc["ranker", ["precision@1", "recall@1"]].tolist() == pytest.approx([1, 1 / 3])


def test_baselines() -> None:
    frame = pd.DataFrame({"user": [1, 2, 3, 1], "item": list("aaab"), "rating": [1, 2, 3, 5]})
    data = CollabDataBunch.from_df(frame, valid_pct=0, bs=2)
    np.testing.assert_array_equal(most_popular(data), [0, 3, 1])
    np.testing.assert_array_equal(most_popular(data, threshold=3), [0, 1, 1])
    np.testing.assert_allclose(item_mean(data, damping=1), [2.75, 8.75 / 4, 7.75 / 2])


@pytest.mark.parametrize(("kwargs", "message"), [
    ({"k": 0}, "from 1 to .*; got 0"), ({"k": 9999}, "got 9999"),
    ({"threshold": 6}, "no user has a rating of at least 6"),
    ({"rankers": np.ones(3)}, r"scores of 129 users need shape \(129, 116\), .*, got \(129, 3\)"),
    ({"rankers": lambda users: np.ones((2, 2))}, r"got \(2, 2\)")])
def test_what_cannot_be_measured_is_refused(kwargs: Any, message: str) -> None:
    data = bunch()
    scores = {"rankers": np.ones(len(data.categories[1]))}
    with pytest.raises(ValueError, match=message):
        evaluate_ranking(**{"data": data, **scores, **kwargs})


# ---------------------------------------------------------------- losses


def test_gradients_of_the_losses() -> None:
    rng = np.random.default_rng(0)
    target = tensor(np.eye(1, 3, dtype=np.float64).repeat(4, 0))
    for loss in (bpr_loss, sampled_softmax_loss):
        assert gradcheck(lambda s, loss=loss: loss(s, target), tensor(rng.normal(size=12)))
    liked = tensor((rng.random((4, 5)) < .5).astype(np.float64))
    assert gradcheck(lambda s: multinomial_loss(s, liked), tensor(rng.normal(size=(4, 5))))


def test_losses_are_their_formulas() -> None:
    rng = np.random.default_rng(0)
    s, liked = rng.normal(size=(4, 5)), (rng.random((4, 5)) < .5).astype(np.float64)
    flat, target = tensor(s.ravel()), tensor(np.zeros((4, 5)))
    assert float(bpr_loss(flat, target)) == pytest.approx(
        np.log1p(np.exp(s[:, 1:] - s[:, :1])).mean())
    log_p = s - np.log(np.exp(s).sum(1, keepdims=True))
    assert float(sampled_softmax_loss(flat, target)) == pytest.approx(-log_p[:, 0].mean())
    assert float(multinomial_loss(tensor(s), tensor(liked))) == pytest.approx(
        -(log_p * liked).sum(1).mean())


def test_large_scores_do_not_overflow() -> None:
    big, target = tensor([1e4, -1e4, 1e4]), tensor([[1., 0., 0.]])
    losses = [bpr_loss(big, target), sampled_softmax_loss(-big, target),
              multinomial_loss(big.reshape(1, 3), target)]
    assert np.isfinite([float(loss) for loss in losses]).all()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(3,\) and \(1, 2\)"):
        bpr_loss(tensor([1., 2., 3.]), tensor([[1., 0.]]))
    with pytest.raises(ShapeError, match=r"\(1, 2\) and liked items \(2, 1\)"):
        multinomial_loss(tensor([[1., 2.]]), tensor([[1.], [2.]]))


# ---------------------------------------------------------------- loaders


def test_the_sampler_draws_no_item_that_the_user_has_rated() -> None:
    data = bpr_learner(bunch(), 2, n_negatives=3, bs=50, seed=0).data
    known = items_of_users(data, data.train_ds)
    positives, counts = [], np.zeros(len(data.categories[1]), int)
    for _ in range(3):
        for (users, items), target in data.train_dl:
            pairs = host(users).reshape(-1, 4), host(items).reshape(-1, 4)
            rated = np.take_along_axis(known.mask(pairs[0][:, 0]), pairs[1], axis=1)
            np.testing.assert_array_equal(rated, host(target) == 1)
            positives += list(zip(pairs[0][:, 0], pairs[1][:, 0], strict=True))
            counts += np.bincount(pairs[1][:, 1:].ravel(), minlength=len(counts))
    liked = items_of_users(data, data.train_ds, threshold=4)
    assert liked.mask(np.array(positives)[:, 0])[range(len(positives)),
                                                 np.array(positives)[:, 1]].all()
    assert counts[0] == 0
    assert (counts[1:] > 0).all()


def test_a_pass_over_the_validation_rows_is_always_the_same() -> None:
    data = bpr_learner(bunch(), 2, seed=0).data
    passes = [[host(x) for (_, x), _ in data.valid_dl] for _ in range(2)]
    for one, two in zip(*passes, strict=True):
        np.testing.assert_array_equal(one, two)
    known = items_of_users(data, data.train_ds, data.valid_ds)
    for (users, items), target in data.valid_dl:
        rated = known.mask(host(users))[range(len(users)), host(items)]
        np.testing.assert_array_equal(rated, host(target).ravel() == 1)


def test_seeds_decide_the_negatives() -> None:
    def first(seed: int) -> list[int]:
        return bpr_learner(bunch(), 2, seed=seed).data.one_batch()[0][1].tolist()  # type: ignore
    assert first(1) == first(1) != first(2)


def test_a_user_who_has_rated_everything_has_no_negatives() -> None:
    users, items = np.array([1, 1, 2, 2, 0]), np.array([1, 2, 1, 1, 2])  # 2 rated 1 twice
    rows = ArrayDataset([users, items], np.full(5, 5.))
    dl = NegativeSampler(rows, ItemsOfUsers(users, items, n_users=3, n_items=3), bs=2)
    assert [host(x).tolist() for x in next(iter(dl))[0]] == [[2, 2, 2, 2], [1, 2, 1, 2]]


@pytest.mark.parametrize("make", [bpr_learner, rank_learner])
def test_without_liked_items_there_is_nothing_to_learn(make: Any) -> None:
    with pytest.raises(ValueError, match=r"none of the 3500 .* at least 6"):
        make(bunch(), threshold=6)


def test_a_positive_needs_a_negative() -> None:
    with pytest.raises(ValueError, match="at least one negative, got 0"):
        bpr_learner(bunch(), n_negatives=0)


def test_the_autoencoder_reads_training_rows_and_predicts_those_held_out() -> None:
    learn = rank_learner(bunch(), 3, bs=40, seed=0)
    seen, liked = (items_of_users(learn.data, learn.data.train_ds, threshold=t) for t in (0, 4))
    wanted = items_of_users(learn.data, learn.data.valid_ds, threshold=4)
    for users, target in learn.data.valid_dl:
        numbers = host(users)
        np.testing.assert_array_equal(host(target)[:, 1:], wanted.mask(numbers)[:, 1:])
        both = host(learn.model.history(users))
        expected = np.concatenate([seen.mask(numbers), liked.mask(numbers)], axis=1)
        np.testing.assert_array_equal(both > 0, expected)
        np.testing.assert_allclose((both[:, :seen.n_items] ** 2).sum(1), 1, rtol=1e-6)
    assert learn.validate()[0] > 0


# ---------------------------------------------------------------- learners


LEARNERS = {"bpr": (bpr_learner, {"bs": 64}, 2, 1e-2), "rank": (rank_learner, {"bs": 32}, 6, 1e-2)}


@pytest.mark.parametrize("name", LEARNERS)
def test_fast_and_plain_path_agree(name: str) -> None:
    """Float32 rounding over six epochs of Adam."""
    make, kwargs, epochs, lr = LEARNERS[name]
    fast, plain = (train(make(bunch(), 4, seed=0, fast=f, **kwargs), epochs, lr)
                   for f in (True, False))
    assert floats(fast.recorder.losses) == pytest.approx(floats(plain.recorder.losses), rel=1e-4)
    for (key, one), (_, two) in zip(*(learn.model.named_parameters() for learn in (fast, plain)),
                                    strict=True):
        if key != "u_bias.weight":  # its gradient is rounding, and Adam divides it by its size
            np.testing.assert_allclose(host(one), host(two), rtol=1e-3, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", LEARNERS)
def test_frozen_groups_keep_every_bit(name: str) -> None:
    make, kwargs, _, lr = LEARNERS[name]
    learn = make(bunch(), 4, seed=0, **kwargs)
    layers = [learn.model.i_weight, learn.model.u_bias] if name == "bpr" else [learn.model.decode]
    learn.split(layers)
    learn.freeze()
    before = deepcopy(learn.model.state_dict())
    train(learn, 1, lr)
    changed = {key for key, value in learn.model.state_dict().items()
               if not np.array_equal(host(value), host(before[key]))}
    assert changed == ({"u_bias.weight", "i_bias.weight"} if name == "bpr"
                       else {"decode.weight", "decode.bias"})


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_answers_like_any_other(name: str, tmp_path: Path) -> None:
    make, kwargs, _, lr = LEARNERS[name]
    learn = train(make(bunch(), 4, seed=0, path=tmp_path, **kwargs), 1, lr)
    user, items = 7, learn.data.categories[1].classes[[3, 5]]
    table = learn.recommend(user, 200)
    rated = chosen()[:4200].query("userId == @user").movieId.astype(str)
    assert set(table.movieId) == set(learn.data.categories[1].classes[1:]) - set(rated)
    assert table.prediction.is_monotonic_decreasing
    first = table.iloc[0]
    assert learn.predict((user, first.movieId))[0] == pytest.approx(first.prediction, rel=1e-5)
    assert learn.weight(items).shape == (2, 4)
    assert learn.weight([user], is_item=False).shape == (1, 4)
    assert learn.bias(items).shape == (2,)
    learn.save("ranker")
    other = make(bunch(), 4, seed=1, path=tmp_path, **kwargs).load("ranker")
    pd.testing.assert_frame_equal(other.recommend(user, 5), learn.recommend(user, 5))


def test_the_sampled_pairs_suit_other_losses_too() -> None:
    for loss in (sampled_softmax_loss, BCEWithLogitsFlat()):
        learn = train(bpr_learner(bunch(), 4, seed=0, loss_func=loss, bs=64), 4, 1e-2)
        assert learn.recorder.losses[-1] < .9 * learn.recorder.losses[0]


def test_show_batch_has_labels(capsys: pytest.CaptureFixture[str]) -> None:
    for make, columns in ((bpr_learner, ["userId", "movieId", "target"]),
                          (rank_learner, ["userId", "movieId"])):
        data = make(bunch(), 2, seed=0).data
        data.show_batch()
        assert capsys.readouterr().out.split("\n")[0].split() == columns
    xb, yb = data.one_batch()
    table = data.batch_table(xb, yb, rows=1)
    rows = chosen()[:3500].astype({"userId": str})
    liked = rows[(rows.userId == table.userId[0]) & (rows.rating >= 4)].movieId.astype(str)
    assert set(table.movieId[0].split(", ")) == set(liked)


def test_without_validation_rows_a_learner_trains() -> None:
    data = CollabDataBunch.from_df(chosen(), 0, item_name="movieId", seed=0)
    for make in (bpr_learner, rank_learner):
        learn = train(make(data, 2, seed=0), 1, 1e-2)
        assert learn.data.empty_val
        assert learn.validate() == [None]


@pytest.mark.parametrize("make", [bpr_learner, rank_learner])
def test_validation_rows_that_nobody_likes_are_left_out_of_lists(make: Any) -> None:
    ratings = chosen()[:4200].assign(rating=lambda rows: rows.rating.where(rows.index < 3500, 1))
    data = CollabDataBunch.from_frames(ratings[:3500], ratings[3500:], item_name="movieId", seed=0)
    learn = train(make(data, 2, seed=0), 1, 1e-2)
    assert learn.data.empty_val
    rated = ratings.query("userId == 7").movieId.astype(str)
    assert not set(learn.recommend(7, 200).movieId) & set(rated)


def test_the_users_own_data_stay_as_they_were() -> None:
    data = bunch()
    loaders = data.train_dl, data.valid_dl
    bpr_learner(data, 2)
    rank_learner(data, 2)
    assert (data.train_dl, data.valid_dl) == loaders


def test_a_new_user_of_the_autoencoder_gets_the_list_of_one_with_the_same_ratings() -> None:
    learn = train(rank_learner(bunch(), 4, seed=0), 1, 1e-2)
    rows = chosen()[:3500].query("userId == 7")
    before = deepcopy(learn.model.state_dict())
    label = add_user(learn, dict(zip(rows.movieId, rows.rating, strict=True)), name=999)
    users = [learn.data.categories[0].index(user) for user in (7, label)]
    old, new = (learn._scores(user) for user in users)
    np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-6)
    assert not set(learn.recommend(label, 200).movieId) & set(rows.movieId.astype(str))
    for key, value in learn.model.state_dict().items():
        np.testing.assert_array_equal(host(value), host(before[key]))


# ---------------------------------------------------------------- planted taste


@pytest.mark.cpu_only("trains for some seconds")
def test_ranking_losses_find_planted_taste_and_beat_popularity() -> None:
    """With two planted seeds the margins were 13 to 24 percent."""
    data = bunch()
    rankers = {"bpr": train(bpr_learner(data, 8, wd=.3, bs=128, seed=0), 15, 2e-2),
               "rank": train(rank_learner(data, 8, bs=32, seed=0), 40, 2e-2)}
    ndcg = evaluate_ranking(rankers, data, DatasetType.Test)["ndcg@10"]
    assert ndcg["bpr"] > 1.08 * ndcg["most popular"]
    assert ndcg["rank"] > 1.08 * ndcg["most popular"]


@pytest.mark.cpu_only("trains for some seconds")
def test_popularity_helps_a_rating_model() -> None:
    data = bunch(truth().ratings)  # chosen by popularity alone
    learn = train(collab_learner(data, 5, y_range=(0, 5.5), wd=.1, seed=0), 3, 5e-3)
    aware: Any = popularity_aware(learn)
    ndcg = evaluate_ranking({"ratings": learn, "aware": aware}, data, DatasetType.Test)["ndcg@10"]
    assert aware.model.weight > 0
    assert ndcg["aware"] > 1.1 * ndcg["ratings"]


def test_the_weight_of_popularity_is_in_stars() -> None:
    data = bunch()
    learn = collab_learner(data, 5, y_range=(0, 5.5), seed=0)
    aware = popularity_aware(learn, weights=[.5])
    counts = most_popular(data)
    users, items = (Tensor(np.array(ids)).to(default_device()) for ids in ([3, 4], [5, 6]))
    with no_grad():
        difference = host(aware.model(users, items)) - host(learn.model(users, items))
    np.testing.assert_allclose(difference, .5 * np.log1p(counts[[5, 6]]), rtol=1e-5)
    assert learn.recommend(7, 1).prediction[0] < 5.5


# ---------------------------------------------------------------- MovieLens


@pytest.mark.cpu_only("trains for some seconds")
def test_an_official_split_of_movielens(movielens: Path) -> None:
    """implicit's tuned ALS has an NDCG@10 of 0.371 on u4, popularity one of 0.177."""
    rows, test = movielens_100k_fold(4, movielens)
    data = CollabDataBunch.from_frames(rows, test=test, item_name="movieId", seed=0)
    learn = train(rank_learner(data, seed=0), 40, 2e-2)
    table = evaluate_ranking(learn, data, DatasetType.Test)
    assert table.loc["ranker", "precision@10"] > .25
    assert table.loc["ranker", "ndcg@10"] > .375
    assert table.loc["most popular", "ndcg@10"] == pytest.approx(.1771, abs=1e-4)
