#!/usr/bin/env bash
# Formats the C++ of the tree; with --check it changes nothing and fails where something is to change.
set -euo pipefail
source "$(dirname "$0")/common.sh"
cd "$ROOT"

mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.h' '*.cc' '*.c' ':!tests/fixtures/**' | sort -u)
# Files that git still lists but that are gone.
present=()
for file in "${files[@]}"; do
  [[ -f $file ]] && present+=("$file")
done
if [[ ${1:-} == --check ]]; then
  clang-format-14 --dry-run -Werror "${present[@]}"
  if git grep -nIE '[[:blank:]]+$' -- '*.h' '*.cc' '*.c' '*.py' '*.sh' '*.txt' '*.cmake' '*.md' 'scripts/*'; then
    echo "format: error: trailing blanks (above)" >&2
    exit 1
  fi
  if git grep -nIE '^(<<<<<<<|>>>>>>>) '; then
    echo "format: error: marks of a merge (above)" >&2
    exit 1
  fi
  large=$(git ls-files -z | xargs -0 -I{} find {} -maxdepth 0 -type f -size +1024k)
  if [[ -n $large ]]; then
    echo "format: error: files over 1 MB: $large" >&2
    exit 1
  fi
  echo "format: ${#present[@]} files are as they should be"
else
  clang-format-14 -i "${present[@]}"
fi
