#!/bin/sh
# Prepares .venv for one set of packages: `./setup.sh sandbox` (make run) or
# `./setup.sh development` (make test, make check; holds the sandbox's packages too).
# Needs Python 3.11 to 3.13 with venv, and the network the first time. A second run changes nothing.
set -eu

set_name=${1:-sandbox}
file="requirements/$set_name.txt"
python=.venv/bin/python
cd "$(dirname "$0")"

say() { printf '%s\n' "$*"; }
fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

# The version as 311, or nothing: a name on PATH may be a shim that runs nothing.
version_of() { "$1" -c 'import sys; print("%d%d" % sys.version_info[:2])' 2>/dev/null || true; }

supported() { # 3.14 has no package of the embedded PostgreSQL yet
    case "$(version_of "$1")" in 311 | 312 | 313) return 0 ;; *) return 1 ;; esac
}

stamp_of() { say "$(version_of "$python") $(cksum <"requirements/$1.txt")"; }

ready() { # the packages of a set are the ones that its locked file names
    [ -f ".venv/countersign-$1" ] && [ "$(cat ".venv/countersign-$1")" = "$(stamp_of "$1")" ]
}

choose_python() {
    without_venv=''
    others=''
    # 3.12 and 3.11 first: they have a package of Redis as well.
    for name in ${PYTHON:-python3.12 python3.11 python3 python3.13 python}; do
        for found in "$name" "/usr/bin/$name" "/usr/local/bin/$name"; do
            if supported "$found"; then
                if "$found" -c 'import venv, ensurepip' 2>/dev/null; then
                    say "$found"
                    return
                fi
                without_venv=$found
            else
                seen=$(version_of "$found")
                [ -z "$seen" ] || others="$others $found"
            fi
        done
    done
    [ -z "$without_venv" ] || fail "$without_venv has no venv module. Install it and try again:
  Debian, Ubuntu:  apt install python3-venv"
    fail "Countersign needs Python 3.11, 3.12 or 3.13, and found none that runs${others:+ (only$others)}.
  Debian 12+, Ubuntu 23.04+:  apt install python3 python3-venv
  macOS:                      brew install python@3.12
  Elsewhere: install one, then  make run PYTHON=/path/to/python3.12"
}

ready_made_index() { # uv does not read pip's settings: a company's own index is often only there
    "$python" -m pip config list 2>/dev/null |
        sed -n "s/^[^=]*\.index-url='\(.*\)'$/\1/p" | tail -n 1
}

if supported "$python"; then
    if ready "$set_name" || { [ "$set_name" = sandbox ] && ready development; }; then
        exit 0
    fi
else
    chosen=$(choose_python)
    say "Creating .venv with $("$chosen" --version 2>&1)"
    "$chosen" -m venv --clear .venv ||
        fail "The virtual environment could not be created in $(pwd)/.venv (see above)."
fi

free_mb=$(df -Pm . 2>/dev/null | awk 'NR == 2 { print $4 }')
[ "${free_mb:-9999}" -ge 1500 ] || [ -d .venv/lib/python3*/site-packages/mlflow ] ||
    fail "Only $free_mb MB are free here; the packages need about 1500 MB. Make room and try again."

network_hint="Most often the network or the package index cannot be reached; then try again, or behind a
proxy or with your own index set HTTPS_PROXY or UV_DEFAULT_INDEX (and PIP_INDEX_URL) first."

want=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements/bootstrap.txt)
if [ "$("$python" -m uv --version 2>/dev/null | cut -d' ' -f2)" != "$want" ]; then
    say "Installing uv $want"
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r requirements/bootstrap.txt || fail "uv could not be installed (see above). $network_hint"
fi

say "Installing the packages of $file (the first time about a minute)"
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    index=$(ready_made_index)
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
fi
# Compiled now, once and by all cores: the first start's many processes would each do it for themselves.
"$python" -m uv pip install --python "$python" --compile-bytecode --require-hashes -r "$file" ||
    fail "The packages could not be installed (see above). $network_hint"

say "$(stamp_of "$set_name")" >".venv/countersign-$set_name"
