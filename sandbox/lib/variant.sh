# The recipe of a variant of another part: the recipe of that part, in a folder with the files of both. Sourced by recipes.

model=$(part_model "$PART")
use_versions "$PART"
mkdir "$OUT/source"
cp -a "$SANDBOX/$model/." "$OUT/source/"
cp -a "$SANDBOX/$PART/." "$OUT/source/"
cd "$OUT/source" || exit
# shellcheck source=/dev/null
. "$SANDBOX/$model/build"
cd "$OUT" || exit
rm -r source
