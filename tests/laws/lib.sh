#!/bin/bash
# lib.sh: what the scripts around edgecrdt-sim share. Sourced; BUILD names the
# build folder. What a case's command says goes to $tmp/out for says(), and is
# shown if a case fails.
. "$(dirname "${BASH_SOURCE[0]}")/../tap.sh"
SIM=$BUILD/edgecrdt-sim
why() { cat "$tmp/case" "$tmp/out" 2>/dev/null | tail -n 40; }

# says WORDS: did the last command say so?
says() { grep -qF -- "$1" "$tmp/out"; }
