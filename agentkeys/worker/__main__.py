"""The worker's entry, run as a script under `python -I`: one job from stdin, its answer to stdout."""

import sys

sys.path.insert(0, __file__.rpartition("/agentkeys/")[0])  # this installation, whatever else there is

from agentkeys.worker.run import main

if __name__ == "__main__":
    sys.exit(main())
