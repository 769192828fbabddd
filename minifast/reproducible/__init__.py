"""Results that do not depend on how many threads BLAS has; ``Learner(reproducible=True)``."""
from .blas import one_blas_thread as one_blas_thread
