# postgres:15: Debian's own PostgreSQL 15, installed over the Debian root; what changed is the layer.
work=$STAGING.work merged=$STAGING.merged
mkdir "$work" "$merged"
mount -t overlay overlay -o "lowerdir=$DEBIAN_ROOT,upperdir=$STAGING,workdir=$work" "$merged"
mount -t proc proc "$merged/proc"
cp /etc/resolv.conf /etc/hosts "$merged/etc/"
chroot "$merged" sh -e <<'EOF'
export DEBIAN_FRONTEND=noninteractive
# The ids of the image of this name on Docker Hub, so that data folders can be exchanged.
groupadd --system --gid 999 postgres
useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres
install -d -o postgres -g postgres -m 1777 /var/lib/postgresql
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
apt-get -qy install --no-install-recommends postgresql-15
# A key that every image made from this layer would share is worse than none.
rm -f /etc/ssl/private/* /etc/ssl/certs/*
localedef --inputfile en_US --charmap UTF-8 en_US.UTF-8
sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" /usr/share/postgresql/15/postgresql.conf.sample
mkdir /docker-entrypoint-initdb.d
install -d -o postgres -g postgres -m 3777 /run/postgresql
install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
EOF
umount "$merged/proc" "$merged"
rm -rf "$work" "$merged"
