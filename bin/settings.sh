# What the scripts of bin/ share; they source it.
# shellcheck shell=bash disable=SC2034 # They use what is set here.

# Cargo features of the programs in packages, tarballs and images, comma-separated. The only place that names them.
FEATURES=postgres
FEATURE_FLAGS=(${FEATURES:+--features "$FEATURES"})
TRIPLE=$(rustc --version --verbose 2>/dev/null | sed -n 's/^host: //p') || true
VERSION=$(sed -n '/^version = /{ s/.*"\(.*\)"/\1/p; q }' Cargo.toml)
# Generated files. Cargo.toml names this directory, so it does not depend on CARGO_TARGET_DIR.
PARTS=target/parts
# The time of all files that are packed, so that the same commit makes the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

# Makes `--version` of what is built name the commit, if this is a clone; with an empty LEADCLICKS_COMMIT it does not. Scripts call it
# if they build what is installed: for all others, each commit would build the programs anew.
name_commit() {
    local commit
    commit=${LEADCLICKS_COMMIT-$(git describe --always --dirty --exclude '*' --abbrev=12 2>/dev/null)} || true
    unset LEADCLICKS_COMMIT
    [[ -z $commit ]] || export LEADCLICKS_COMMIT=$commit
}
