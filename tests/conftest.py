"""What several test files share."""
import os
from pathlib import Path

import pytest

collect_ignore = ["golden"]  # recordings, and the script that made two of them with torch


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The folder of MovieLens 100K, $MINIFAST_HOME/data/ml-100k; the test skips without it.

    In CI with MINIFAST_HOME set its absence is a failure, so that a skip hides no gap.
    """
    home = os.environ.get("MINIFAST_HOME", "")
    folder = Path(home, "data", "ml-100k")
    if home and (folder / "u.data").is_file():
        return folder
    if home and os.environ.get("CI") == "true":
        pytest.fail(f"CI sets MINIFAST_HOME={home}, but {folder} holds no u.data")
    pytest.skip("needs MovieLens 100K: set MINIFAST_HOME to a folder with data/ml-100k")
