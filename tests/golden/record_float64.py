"""Record the batch-norm runs again in float64, with torch.

Two of fastai's float32 recordings hang on rounding: behind batch norm, the gradient of a bias
whose unit is always active is zero but for rounding, and Adam makes a full step of any gradient.
Where such a bias wanders to decides, some steps later, whether a sample passes a ReLU. This
script first repeats each recording in float32, bit for bit, then shows how far it moves when the
initial weights change by 1e-8 of themselves, then records it in float64, where that noise is too
small for Adam's eps. Needs torch (run once; the tests do not).

    python tests/golden/record_float64.py
"""
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
F32, F64 = torch.float32, torch.float64


class Net(nn.Module):
    """fastai's EmbeddingNN with the sizes of the recording."""

    def __init__(self, record):
        super().__init__()
        self.embeds = nn.ModuleList(nn.Embedding(*record[f"w0.embeds.{i}.weight"].shape)
                                    for i in range(2))
        self.bn_cont = nn.BatchNorm1d(0)
        self.layers = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.BatchNorm1d(32),
                                    nn.Linear(32, 16), nn.ReLU(), nn.BatchNorm1d(16),
                                    nn.Linear(16, 1))

    def forward(self, users, items):
        x = torch.cat([e(k) for e, k in zip(self.embeds, (users, items), strict=True)],
                      1)
        return (torch.sigmoid(self.layers(x)) * 5.5).view(-1)


def start(model, record, dtype, change, seed):
    model.load_state_dict({k[3:]: torch.tensor(record[k]) for k in record.files
                           if k.startswith("w0.")})
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + change * torch.randn_like(p))
    return model.to(dtype)


def train(model, batches, loss_func, groups, lrs, moms, wd):
    opt = torch.optim.Adam([{"params": g} for g in groups], betas=(.9, .99), eps=1e-8)
    losses = []
    for (*x, y), lr, mom in zip(batches, lrs, moms, strict=True):
        for group, group_lr, group_mom in zip(opt.param_groups, lr, mom, strict=True):
            group["lr"], group["betas"] = group_lr, (group_mom, .99)
        loss = loss_func(model(*x), y)
        loss.backward()
        for group in opt.param_groups:  # fastai's decoupled decay, of what has a gradient
            for p in group["params"]:
                if p.grad is not None:
                    p.data.mul_(1 - group["lr"] * wd)
        opt.step()
        opt.zero_grad()
        losses.append(loss.item())
    return np.array(losses)


def cut(arrays, sizes):
    ends = np.cumsum(sizes)
    return [[torch.tensor(a[e - n:e]) for a in arrays] for e, n in zip(ends, sizes, strict=True)]


def collab_nn(dtype=F32, change=0., seed=0):
    record = np.load(HERE / "collab_nn.npz")
    model = start(Net(record), record, dtype, change, seed)
    y = record["y"].astype("f8" if dtype is F64 else "f4")
    batches = cut([record["users"].astype("i8"), record["items"].astype("i8"), y],
                  record["batch_sizes"])
    losses = train(model, batches, nn.functional.mse_loss, [list(model.parameters())],
                   record["lrs"][:, None], record["moms"][:, None], 1e-2)
    return {"losses": losses, **weights(model, "w1.")}, record["losses"], record, "w1."


def digits(dtype=F32, change=0., seed=0):
    record = np.load(HERE / "digits_mlp_groups.npz")
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.BatchNorm1d(48), nn.Linear(48, 32),
                          nn.ReLU(), nn.BatchNorm1d(32), nn.Linear(32, 10))
    start(model, record, dtype, change, seed)
    found = {}
    for phase, frozen in ((1, True), (3, False)):
        groups = []
        for first, group in enumerate((model[0:3], model[3:6], model[6:])):
            for layer in group:
                layer.requires_grad_(not frozen or first == 2 or isinstance(layer, nn.BatchNorm1d))
            groups.append([p for p in group.parameters() if p.requires_grad])
        rows = record[f"p{phase}.rows"]
        x = record["X"][rows].astype("f8" if dtype is F64 else "f4")
        batches = cut([x, record["y"][rows]], record[f"p{phase}.batch_sizes"])
        found[f"p{phase}.losses"] = train(
            model, batches, nn.functional.cross_entropy, groups, record[f"p{phase}.group_lrs"],
            record[f"p{phase}.group_moms"], .1)
    return {**found, **weights(model, "p3.w.")}, record["p3.losses"], record, "p3.w."


def weights(model, prefix):
    return {prefix + k: v.detach().numpy() for k, v in model.state_dict().items()}


def distance(run):
    found, losses, record, prefix = run
    ours = found["losses" if "losses" in found else "p3.losses"]
    worst = max(np.linalg.norm(v - record[k]) / max(np.linalg.norm(record[k]), 1e-30)
                for k, v in found.items() if k.startswith(prefix))
    return f"losses {np.abs(ours - losses).max():.1e}, weights {worst:.1e}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, run in (("collab_nn", collab_nn), ("digits_mlp_groups", digits)):
        print(f"{name}: distance from fastai's float32 recording")
        print("  repeated in float32:         ", distance(run()))
        for seed in range(3):
            print(f"  initial weights + 1e-8, #{seed}:  ", distance(run(change=1e-8, seed=seed)))
        print("  in float64:                  ", distance(run(F64)))
        np.savez_compressed(HERE / f"{name}_float64.npz", **run(F64)[0])
