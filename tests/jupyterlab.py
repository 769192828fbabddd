"""Look at minifast in a real JupyterLab: ``python tests/jupyterlab.py [folder for screenshots]``.

Needs ``pip install jupyterlab playwright`` and Chromium (its path in ``$CHROMIUM``, by default
/usr/bin/chromium). Not part of the test suite: a person looks at the pictures.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

CELLS = {
    "import": """
from minifast.collab import *
import time
class Slow(Callback):
    def on_batch_end(self, **kwargs):
        time.sleep(.02)
planted = planted_ratings(n_users=50, n_items=40, n_ratings=1000)
data = CollabDataBunch.from_df(planted.ratings, bs=32, seed=1)
learn = collab_learner(data, 5, y_range=(0, 5.5), metrics=[mae])""",
    "fit": "learn.fit_one_cycle(3, 5e-3, callbacks=Slow())",
    "interrupted": "learn.fit_one_cycle(20, 5e-3, callbacks=Slow())",
    "learner": "learn",
    "model": "learn.model",
    "optimizer": "learn.opt",
    "tensor": "learn.model.u_weight.weight, tensor(np.zeros((2000, 3)))",
    "plot": "learn.recorder.plot_losses()",
    "error": """
class Net(Module):
    def __init__(self):
        self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 1)
    def forward(self, x):
        return self.b(self.a(x))
wide = DataBunch.create(ArrayDataset(np.ones((8, 3), np.float32), np.ones(8, np.float32)), bs=4)
Learner(wide, Net()).fit(1)""",
    "graph": """
x, w = tensor([[1., 2.]]), tensor([[3.], [4.]], requires_grad=True)
loss = ((x @ w).sigmoid() - 1) ** 2
show_graph(loss)""",
    "player": "backward_player(loss.sum())",
    "slider": "one_cycle_slider(learn)",
    "race": "optimizer_race()",
}
SHOT_WHILE_RUNNING, TO_INTERRUPT = "fit", "interrupted"


def notebook() -> str:
    """The notebook as JSON."""
    cells = [{"cell_type": "code", "id": name, "metadata": {}, "outputs": [],
              "execution_count": None, "source": source.strip()} for name, source in CELLS.items()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4,
                       "nbformat_minor": 5})


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start_server(folder: Path, port: int) -> Any:
    """Start JupyterLab without a browser, a token, and the question about news."""
    (folder / "look.ipynb").write_text(notebook())
    settings = folder / "config" / "labconfig"
    settings.mkdir(parents=True)
    (settings / "page_config.json").write_text(json.dumps(
        {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}))
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token=", "--allow-root",
               f"--ServerApp.root_dir={folder}"]
    return subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], cwd=folder,
                            stdout=(folder / "server.log").open("w"), stderr=subprocess.STDOUT,
                            env={**os.environ, "JUPYTER_CONFIG_DIR": str(folder / "config"),
                                 "IPYTHONDIR": str(folder / "ipython")})


def wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as s:
            if not s.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(.1)
    raise TimeoutError("JupyterLab did not start")


def wait_idle(page: Page, cell: Any) -> None:
    """Wait until a cell has run: its prompt is a number."""
    for _ in range(1200):
        if cell.locator(".jp-InputPrompt").inner_text().strip("[]: \u200b").isdigit():
            return
        page.wait_for_timeout(50)
    raise TimeoutError(cell.inner_text()[:200])


def look(page: Page, shots: Path) -> None:
    """Run each cell and take pictures."""
    for i, name in enumerate(CELLS):
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(i)
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputPrompt").click()
        page.keyboard.press("Control+Enter")
        if name in (SHOT_WHILE_RUNNING, TO_INTERRUPT):
            page.wait_for_function(
                "cell => cell.innerText.includes('epoch 2/')", arg=cell.element_handle())
            cell.screenshot(path=shots / f"{name}-running.png")
        if name == TO_INTERRUPT:
            page.keyboard.press("i")
            page.keyboard.press("i")
        wait_idle(page, cell)
        page.wait_for_timeout(400)
        cell.screenshot(path=shots / f"{name}.png")
        if name in ("player", "slider", "race", "graph"):
            click(page, cell, shots / f"{name}-clicked.png")
    (shots / "text.txt").write_text(page.locator(".jp-Notebook").inner_text())


def click(page: Page, cell: Any, shot: Path) -> None:
    """Click the first button of a picture, or move its slider by a step."""
    button = cell.locator(".mf-picture button:not([aria-disabled=true])")
    slider = cell.locator("input[type=range]")
    if slider.count():
        slider.first.focus()
        for key in ("Home", *["ArrowRight"] * 5):
            page.keyboard.press(key)
    elif button.count():
        button.first.click()
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(600)
    cell.screenshot(path=shot)


def main() -> None:
    shots = Path(sys.argv[1] if len(sys.argv) > 1 else "jupyterlab-shots")
    shots.mkdir(parents=True, exist_ok=True)
    folder, port = Path(tempfile.mkdtemp()), free_port()
    server = start_server(folder, port)
    try:
        wait_for(port)
        with sync_playwright() as p:
            browser = p.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"http://127.0.0.1:{port}/lab/tree/look.ipynb?reset")
            page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
            page.wait_for_timeout(3000)
            try:
                look(page, shots)
            finally:
                page.screenshot(path=shots / "page.png")
                print("\n".join(errors) or "no error in the page")
            browser.close()
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
