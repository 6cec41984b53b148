# nest-api:dev: what the sample's Dockerfile makes, made on this machine.
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
cd "$SOURCE"
cp -R package.json package-lock.json tsconfig.json src "$built"
cd "$built"
npm ci --silent --ignore-scripts
npx --no-install tsc
npm prune --silent --omit=dev
mkdir "$STAGING/app"
cp -R package.json node_modules dist "$STAGING/app"
