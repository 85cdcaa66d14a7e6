# Read by build.sh and test-aarch64.sh.

# Prints the folder of the first rustc that has the target's standard library: rustup's if the target was added to it, Debian's
# otherwise.
toolchain() {
  local target=$1 rustc library
  for rustc in $(type -ap rustc) /usr/bin/rustc; do
    library=$("$rustc" --print target-libdir --target "$target" 2>/dev/null) || continue
    if [ -d "$library" ]; then
      dirname "$rustc"
      return
    fi
  done
  echo "error: no toolchain with the standard library of $target; run tools/release/setup.sh" >&2
  return 2
}
