#!/bin/bash
# mesh_long.sh: the same as mesh.sh, with 60 seconds of load.
SECONDS_OF_LOAD=${SECONDS_OF_LOAD:-60} exec "$(dirname "$0")/mesh.sh"
