#!/bin/bash
# images_long.sh: what a crash leaves at every moment of two recorded runs:
# more than 10,000 images.
cd "$(dirname "$0")/../.." || exit 2
STEPS=${STEPS:-360} EACH=1 exec tests/crash/images.sh
