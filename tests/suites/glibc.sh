# SPDX-License-Identifier: MIT OR Apache-2.0
# glibc: programs of other Debian releases with their own C library, older and newer than this machine's, do in a
# directory what this machine's own programs do there.
prepare() {
    needs /usr/bin/patchelf patchelf
    needs /usr/bin/dpkg-deb dpkg
    for release in $GLIBC_RELEASES; do
        [ -e "$SUITES/glibc-$release/complete" ] || (fetch_release "$release") || exit 1
    done
    command=(bash "$here/glibc/compare" "$SUITES" $GLIBC_RELEASES)
}
# glibc 2.31 and 2.41.
GLIBC_RELEASES='bullseye trixie'
cases() { grep -E '^(passed|failed) ' "$1" || true; }

# The packages of a release come from where this machine's apt gets its own; the system's configuration and lists stay
# as they are. Unpacked, the programs get their own loader and libraries, so that what they execute has them too.
fetch_release() {
    local release=$1 root=$SUITES/glibc-$1 scratch deb dir file loader
    scratch=$(mktemp -d "$T/fetch.XXXXXX")
    mkdir -p "$scratch/parts" "$scratch/lists/partial" "$scratch/cache/archives/partial"
    : >"$scratch/status"
    debian_sources "$release" >"$scratch/parts/release.sources"
    options=(
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$scratch/parts"
        -o Dir::State::Lists="$scratch/lists" -o Dir::State::status="$scratch/status" -o Dir::Cache="$scratch/cache"
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 -o Acquire::Languages=none
        -o APT::Install-Recommends=0 -o Debug::NoLocking=1
    )
    apt-get -qq "${options[@]}" update >&2
    apt-get -qq "${options[@]}" --yes --download-only install \
        dash coreutils make tcc findutils sed tar perl-base >&2
    rm -rf "$root"
    mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
    for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done
    for deb in "$scratch"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
    done
    loader=$(find "$root/usr/lib/x86_64-linux-gnu" -type f -name 'ld-*.so*' | head -n 1)
    for file in "$root"/usr/bin/*; do
        [ -f "$file" ] && [ ! -L "$file" ] && patchelf --print-interpreter "$file" >/dev/null 2>&1 || continue
        patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$root/usr/lib/x86_64-linux-gnu" "$file"
    done
    touch "$root/complete"
}

# This machine's source of Debian packages, for another release.
debian_sources() {
    local file line
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        awk -v RS= -v release="$1" '/debian-archive-keyring/ && !/security/ {
            gsub(/\nSuites:[^\n]*/, "\nSuites: " release); gsub(/^Suites:[^\n]*/, "Suites: " release)
            gsub(/Components:[^\n]*/, "Components: main"); print; exit }' "$file"
    done | grep . && return
    sed -En 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+)[[:space:]]+[^[:space:]-]+[[:space:]]+main.*/\2/p' \
        /etc/apt/sources.list | head -n 1 | while read -r line; do
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$line" "$1"
        printf 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n'
    done
}
