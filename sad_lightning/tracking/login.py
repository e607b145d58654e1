"""Whether there is a login for Weights & Biases, found without calling it: it might ask for one and wait."""

import netrc
import os
from urllib.parse import urlparse


def logged_in() -> bool:
    """Whether there is a key, in the environment or in the file that ``wandb login`` writes."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
