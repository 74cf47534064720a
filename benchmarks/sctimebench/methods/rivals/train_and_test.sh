#!/usr/bin/env bash
# scTimeBench calls this with the YAML of one method on one data set.
set -euo pipefail
exec "${PYTHON:-python}" "$(dirname "$0")/run.py" --yaml_config "$1"
