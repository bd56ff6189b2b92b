"""streamlit-authenticator without the page that it brings along.

It imports extra-streamlit-components for its cookie. That package has Streamlit serve, at our own address, a page which
sets any cookie that any window of any site asks it for. Our cookie takes the place of that one, so nothing of it is
needed, and an empty module takes the place of the package.
"""

from __future__ import annotations

import sys
from types import ModuleType

sys.modules["extra_streamlit_components"] = ModuleType("extra_streamlit_components")

from streamlit_authenticator import Authenticate  # noqa: E402  # it imports the package at once
from streamlit_authenticator.controllers import AuthenticationController  # noqa: E402
from streamlit_authenticator.models import AuthenticationModel  # noqa: E402

__all__ = ["Authenticate", "AuthenticationController", "AuthenticationModel"]
