# mongo:7: a stand-in for MongoDB's server, on top of Node.
cp -R "$ASSETS/mongo/stand-in" "$STAGING/stand-in"
cd "$STAGING/stand-in"
npm ci --silent --omit=dev --ignore-scripts
mkdir -p "$STAGING/opt/mongo-stand-in" "$STAGING/docker-entrypoint-initdb.d" "$STAGING/etc" "$STAGING/data"
mv package.json node_modules src "$STAGING/opt/mongo-stand-in/"
cd "$STAGING"
rm -r stand-in
# The ids of the image of this name on Docker Hub.
for file in passwd group shadow gshadow; do cp -p "$DEBIAN_ROOT/etc/$file" "etc/$file"; done
echo 'mongodb:x:999:999::/data/db:/usr/sbin/nologin' >>etc/passwd
echo 'mongodb:x:999:' >>etc/group
echo 'mongodb:!::0:99999:7:::' >>etc/shadow
echo 'mongodb:!::' >>etc/gshadow
install -d -o 999 -g 999 data/db data/configdb
