# debian:bookworm-slim: Debian's smallest set of packages, without documentation and translations.
# The image names no package source: whoever wants apt in it gives it one.
# The package lists stay in this folder (not in the image), so that images made on top of it need not fetch them again.
apt=/etc/apt
files=$(ls $apt/sources.list $apt/sources.list.d/debian.sources $apt/sources.list.d/debian.list 2>/dev/null || true)
# The machine's own mirror: the first address in its apt configuration, and the first that serves security updates.
address() {
  [ -z "$files" ] || awk -v wanted="$1" '
    function address(i) { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) return $i }
    /^URIs:/ { uri = $2 }
    /^Suites:/ && $0 ~ wanted && !found { print uri; found = 1 }
    /^deb / && $0 ~ wanted && !found { print address(); found = 1 }' $files
}
main=$(address '[a-z]')
security=$(address '-security')
# Line by line: mmdebstrap looks for what to leave out in options only, not in a file of them.
set --
while read -r option; do set -- "$@" --dpkgopt="$option"; done <"$ASSETS/debian/rootfs/etc/dpkg/dpkg.cfg.d/slim"
# usr-is-merged instead of usrmerge, which would bring all of Perl.
mmdebstrap --quiet --mode=root --variant=minbase --skip=cleanup/apt/lists "$@" --aptopt='Acquire::Languages "none"' \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include=usr-is-merged bookworm "$STAGING" - <<EOF
deb ${main:?no Debian mirror in the apt configuration} bookworm main
deb $main bookworm-updates main
${security:+deb $security bookworm-security main}
EOF
