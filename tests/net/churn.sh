#!/bin/bash
# churn.sh: churn_long.sh with fewer writes.
export CHURN="500000 50000"
exec "$(dirname "$0")/churn_long.sh"
