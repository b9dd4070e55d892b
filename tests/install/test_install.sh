#!/bin/sh
# Installs into an empty folder and uses what is there as a stranger would: pkg-config, CMake, the
# static library, C++, every header alone, the command from its new place.
# Environment: LIMN_BUILD_DIR, LIMN_SOURCE_DIR.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix=$folder/prefix
cmake --install "$LIMN_BUILD_DIR" --prefix "$prefix" >"$folder/log" || { cat "$folder/log"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name limn.pc)")
LD_LIBRARY_PATH=$(pkg-config --variable=libdir "$PKG_CONFIG_PATH/limn.pc")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
model=$prefix/share/limn/models/tales
strict="-Wall -Wextra -Werror -pedantic"
embed=$LIMN_SOURCE_DIR/examples/embed

check_output() { # check_output WHAT OUTPUT
  case $2 in
  "Once upon a| time ("*) echo "ok: $1" ;;
  *) echo "$1 printed \"$2\", expected \"Once upon a| time (...\""; exit 1 ;;
  esac
}

# shellcheck disable=SC2046,SC2086
{
  cc -std=c11 $strict "$embed/embed.c" $(pkg-config --cflags --libs limn) -lm -o "$folder/shared"
  check_output "shared library through pkg-config" "$("$folder/shared" "$model" "Once upon a")"

  cc -std=c11 $strict "$embed/embed.c" $(pkg-config --cflags limn) "$LD_LIBRARY_PATH/liblimn.a" \
    $(pkg-config --libs jansson) -pthread -lm -o "$folder/static"
  check_output "static library" "$("$folder/static" "$model" "Once upon a")"

  cmake -G Ninja -S "$embed" -B "$folder/cmake" -DCMAKE_PREFIX_PATH="$prefix" >"$folder/log" &&
    cmake --build "$folder/cmake" >>"$folder/log" || { cat "$folder/log"; exit 1; }
  check_output "CMake package" "$("$folder/cmake/embed" "$model" "Once upon a")"

  for header in "$prefix"/include/limn/*.h; do
    name=limn/$(basename "$header")
    echo "#include <$name>" | cc -std=c11 $strict -xc - -fsyntax-only $(pkg-config --cflags limn)
    if command -v c++ >/dev/null; then
      echo "#include <$name>" | c++ -std=c++17 $strict -xc++ - -fsyntax-only $(pkg-config --cflags limn)
    fi
  done
  echo "ok: every header compiles alone"

  for lesson in "$LIMN_SOURCE_DIR"/lessons/[0-9]*.c; do
    [ -f "$lesson" ] || continue
    cc -std=c11 $strict "$lesson" $(pkg-config --cflags --libs limn limn-plot) -lm -o "$folder/lesson"
    (cd "$folder" && ./lesson >lesson.out) || { echo "$lesson failed"; exit 1; }
    [ -s "$folder/lesson.out" ] || { echo "$lesson printed nothing"; exit 1; }
  done
  echo "ok: every lesson"
}

cd /
"$prefix/bin/limn" --version >/dev/null
names=$("$prefix/bin/limn" help --list)
for name in $names; do
  [ -s "$prefix/share/man/man1/limn-$name.1" ] || { echo "no man page for $name"; exit 1; }
done
echo "ok: man pages"
foreign=$(nm -D --defined-only "$LD_LIBRARY_PATH/liblimn.so" | awk '$3 !~ /^limn_/ { print $3 }')
[ -z "$foreign" ] || { echo "liblimn exports $foreign"; exit 1; }
if ldd "$LD_LIBRARY_PATH/liblimn.so" | grep -q cairo; then echo "liblimn is linked with cairo"; exit 1; fi
echo "ok: exported names, no drawing library"
