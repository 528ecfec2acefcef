"""The seed of whatever tests draw at random: printed in pytest's header and with every failure."""

from __future__ import annotations

import os
import random

# kept in the environment, so that processes that share the tests share it
SEED = int(os.environ.setdefault("CCAAS_TEST_SEED", str(random.SystemRandom().randrange(1 << 32))))
"""``CCAAS_TEST_SEED`` repeats a run."""
TOLD = f"CCAAS_TEST_SEED={SEED}"
