# busybox: Debian's static busybox with a link for every applet it knows.
cd "$STAGING"
mkdir -p bin dev etc home proc sys usr/bin usr/sbin var/spool/mail var/www
install -d -m 1777 tmp
install -d -m 700 root
fetched=$(mktemp -d)
chmod 755 "$fetched"
(cd "$fetched" && { apt-get -qq download busybox-static || { apt-get -qq update && apt-get -qq download busybox-static; }; })
dpkg-deb --extract "$fetched"/*.deb "$fetched/package"
install -m 755 "$(find "$fetched/package" -name busybox -type f -perm -100)" bin/busybox
rm -rf "$fetched"
for applet in $(bin/busybox --list); do
  [ "$applet" = busybox ] || ln bin/busybox "bin/$applet"
done
ln -s ../../bin/env usr/bin/env
