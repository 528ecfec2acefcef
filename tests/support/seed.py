"""The seed of whatever tests draw at random: printed in pytest's header and with every failure."""

from __future__ import annotations

import os
import random

SEED = int(os.environ.get("CCAAS_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
"""``CCAAS_TEST_SEED`` repeats a run."""
TOLD = f"CCAAS_TEST_SEED={SEED}"
