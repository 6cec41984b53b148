# node:20: the platform's binary of the npm package `node`, and npm itself.
node=20.20.2 npm=10.9.9
case $ARCHITECTURE in amd64) platform=x64 ;; *) platform=$ARCHITECTURE ;; esac
fetched=$(mktemp -d)
(cd "$fetched" && npm pack --silent "node-linux-$platform@$node" "npm@$npm" >/dev/null)
cd "$STAGING"
mkdir -p usr/local/bin usr/local/lib/node_modules/npm home/node
tar -xzf "$fetched/node-linux-$platform-$node.tgz" --no-same-owner --strip-components=2 -C usr/local/bin package/bin/node
tar -xzf "$fetched/npm-$npm.tgz" --no-same-owner --strip-components=1 -C usr/local/lib/node_modules/npm
rm -rf "$fetched" usr/local/lib/node_modules/npm/docs usr/local/lib/node_modules/npm/man
ln -s node usr/local/bin/nodejs
ln -s ../lib/node_modules/npm/bin/npm-cli.js usr/local/bin/npm
ln -s ../lib/node_modules/npm/bin/npx-cli.js usr/local/bin/npx
# The user `node` that images of this name have.
mkdir -p etc
for file in passwd group shadow gshadow; do cp -p "$DEBIAN_ROOT/etc/$file" "etc/$file"; done
echo 'node:x:1000:1000::/home/node:/bin/bash' >>etc/passwd
echo 'node:x:1000:' >>etc/group
echo 'node:!::0:99999:7:::' >>etc/shadow
echo 'node:!::' >>etc/gshadow
chown 1000:1000 home/node
