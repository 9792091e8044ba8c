#!/bin/bash
# history_long.sh: history.sh with five minutes of faults.
export HISTORY_SECONDS=${HISTORY_SECONDS:-300}
exec "$(dirname "$0")/history.sh"
