#!/bin/sh
# Installs into an empty folder and uses what is there as a stranger would: pkg-config, CMake, the
# static library, C++, every header alone, every lesson, the command from its new place.
# Environment: LIMN_BUILD_DIR, LIMN_SOURCE_DIR.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*"; exit 1; }

# By way of DESTDIR, as packagers do, and moved once more: nothing may depend on the place.
DESTDIR=$folder/stage cmake --install "$LIMN_BUILD_DIR" --prefix /opt/limn >"$folder/log" ||
  { cat "$folder/log"; exit 1; }
prefix=$folder/prefix
mv "$folder/stage/opt/limn" "$prefix"
[ -z "$(find "$folder/stage" -type f)" ] || fail "files beside the prefix: $(find "$folder/stage" -type f)"

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name limn.pc)")
LD_LIBRARY_PATH=$(pkg-config --variable=libdir "$PKG_CONFIG_PATH/limn.pc")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
libdir=$LD_LIBRARY_PATH
model=$prefix/share/limn/models/tales
strict="-Wall -Wextra -Werror -pedantic"
embed=$LIMN_SOURCE_DIR/examples/embed

check_output() { # check_output WHAT OUTPUT
  case $2 in
  "Once upon a| time ("*) echo "ok: $1" ;;
  *) fail "$1 printed \"$2\", expected \"Once upon a| time (...\"" ;;
  esac
}

build_with_cmake() { # build_with_cmake NAME [OPTION]...
  name=$1
  shift
  { cmake -G Ninja -S "$embed" -B "$folder/$name" -DCMAKE_PREFIX_PATH="$prefix" "$@" &&
    cmake --build "$folder/$name"; } >"$folder/log" || { cat "$folder/log"; exit 1; }
}

# shellcheck disable=SC2046,SC2086
{
  cc -std=c11 $strict "$embed/embed.c" $(pkg-config --cflags --libs limn) -lm -o "$folder/shared"
  check_output "shared library through pkg-config" "$("$folder/shared" "$model" "Once upon a")"
  readelf -d "$folder/shared" | grep -q 'NEEDED.*liblimn\.so\.[0-9]' ||
    fail "a program is not linked with liblimn by a SONAME with a version"

  cc -std=c11 $strict "$embed/embed.c" $(pkg-config --cflags limn) \
    $(pkg-config --static --libs limn | sed 's/-llimn/-l:liblimn.a/') -o "$folder/static"
  check_output "static library" "$(LD_LIBRARY_PATH="" "$folder/static" "$model" "Once upon a")"

  cc -std=c11 $strict "$LIMN_SOURCE_DIR/examples/tokenize/tokenize.c" \
    $(pkg-config --cflags --libs limn) -o "$folder/tokenize"
  ids=$(printf 'Hello, world!' | "$folder/tokenize" | tr '\n' ' ')
  [ "$ids" = "15496 11 995 0 " ] || fail "the example of the tokenizer printed $ids"
  echo "ok: the tokenizer on its own"

  build_with_cmake cmake-shared
  check_output "CMake package" "$("$folder/cmake-shared/embed" "$model" "Once upon a")"
  build_with_cmake cmake-static -DEMBED_LIBRARY=limn::static
  check_output "CMake package, static" \
    "$(LD_LIBRARY_PATH="" "$folder/cmake-static/embed" "$model" "Once upon a")"

  for header in "$prefix"/include/limn/*.h; do
    name=limn/$(basename "$header")
    echo "#include <$name>" | cc -std=c11 $strict -xc - -fsyntax-only $(pkg-config --cflags limn)
    if command -v c++ >/dev/null; then
      echo "#include <$name>" | c++ -std=c++17 $strict -xc++ - -fsyntax-only $(pkg-config --cflags limn)
    fi
  done
  echo "ok: every header compiles alone"

  if command -v c++ >/dev/null; then
    cat >"$folder/use.cc" <<'END'
#include <limn/limn.h>
#if __has_include(<limn/plot.h>)
#include <limn/plot.h>
#endif
#include <cstdio>
int main() {
  limn_model *model = nullptr;
  limn_error err;
  if (limn_model_open("no such folder", nullptr, &model, &err) != LIMN_ERROR_NOT_FOUND) return 1;
  std::printf("%s %d\n", limn_version(), limn_default_threads() > 0);
}
END
    c++ -std=c++17 $strict "$folder/use.cc" $(pkg-config --cflags --libs limn) -o "$folder/use"
    [ "$("$folder/use")" = "$(pkg-config --modversion limn) 1" ] || fail "C++: $("$folder/use")"
    echo "ok: C++"
  fi

  # The C that README.md shows, and the lines that build and run it, in a home of its own.
  awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' "$LIMN_SOURCE_DIR/README.md" >"$folder/look.c"
  awk '/^make install/ { on = 1; next } /^```/ { on = 0 } on' "$LIMN_SOURCE_DIR/README.md" \
    >"$folder/look.sh"
  mkdir "$folder/home" && ln -s "$prefix" "$folder/home/.local"
  (cd "$folder" && unset PKG_CONFIG_PATH LD_LIBRARY_PATH && HOME=$folder/home sh -e ./look.sh) \
    >"$folder/look.out" || fail "the example of README.md failed"
  cc -std=c11 $strict "$folder/look.c" $(pkg-config --cflags --libs limn) -o "$folder/look"
  grep -q '^blocks.5.attn.hook_pattern: head 0 gives the first token 0\.' "$folder/look.out" &&
    grep -q '^next comes token 640$' "$folder/look.out" ||
    fail "the example of README.md printed $(cat "$folder/look.out")"
  echo "ok: the example of README.md"

  n=0
  for lesson in "$prefix"/share/doc/limn/lessons/[0-9]*.c; do
    cc -std=c11 $strict "$lesson" $(pkg-config --cflags --libs limn limn-plot) -lm -o "$folder/lesson"
    (cd "$folder" && ./lesson >lesson.out) || fail "$lesson failed"
    [ -s "$folder/lesson.out" ] || fail "$lesson printed nothing"
    n=$((n + 1))
  done
  [ "$n" = 7 ] || fail "$n lessons are installed, expected 7"
  echo "ok: $n lessons, each with one line of cc"
}

cd /
limn=$prefix/bin/limn
[ "$("$limn" --version | sed 's/[^0-9.]//g')" = "$(pkg-config --modversion limn)" ] ||
  fail "limn --version: $("$limn" --version)"
LD_LIBRARY_PATH="" LIMN_MODELS="" "$limn" info >/dev/null || fail "limn does not find its model"
echo "ok: the command finds its bundled model"
man=$prefix/share/man/man1
for page in limn $("$limn" help --list | sed 's/^/limn-/'); do
  [ -s "$man/$page.1" ] || fail "no man page $page"
  grep -q '^\.TH' "$man/$page.1" || fail "$page.1 is no man page"
  if command -v groff >/dev/null; then
    warnings=$(groff -man -Tutf8 -ww -z "$man/$page.1" 2>&1)
    [ -z "$warnings" ] || fail "$page.1: $warnings"
  fi
done
echo "ok: man pages"
for shell in bash:bash-completion/completions/limn zsh:zsh/site-functions/_limn \
  fish:fish/vendor_completions.d/limn.fish; do
  file=$prefix/share/${shell#*:}
  [ -s "$file" ] || fail "no completions: $file"
  ! command -v "${shell%%:*}" >/dev/null || "${shell%%:*}" -n "$file" || fail "$file does not parse"
done
echo "ok: completions"

for library in limn limn-plot; do
  so=$libdir/lib$library.so
  [ -e "$so" ] || continue
  foreign=$(nm -D --defined-only "$so" | awk '$3 !~ /^limn_/ { print $3 }')
  [ -z "$foreign" ] || fail "lib$library exports $foreign"
  readelf -d "$so" | grep -q "SONAME.*lib$library\.so\.[0-9]" || fail "lib$library has no SONAME"
done
for library in cairo fontconfig freetype X11; do
  ! readelf -d "$libdir/liblimn.so" | grep -q "NEEDED.*$library" || fail "liblimn needs $library"
done
echo "ok: exported names, SONAME, no drawing library"
