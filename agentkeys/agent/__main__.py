"""The daemon's entry, run as a script under `python -IS`: no site-packages, no .pth, no environment of the caller's."""

import sys

sys.path.insert(0, __file__.rpartition("/agentkeys/")[0])  # this installation, whatever else there is

from agentkeys.agent.start import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
