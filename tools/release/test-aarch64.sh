#!/usr/bin/env bash
# The tests for aarch64 under qemu, programs that tests start included: test-aarch64.sh [PACKAGE…], by default all. They show that it
# is right, not how fast it is. Left out are the tests of what the kernel's receive times give: qemu does not hand them on.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
tools/release/setup.sh
source tools/release/toolchain.sh

target=aarch64-unknown-linux-gnu
bin=$(toolchain "$target")
export PATH=$bin:$PATH RUSTC=$bin/rustc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
packages=(--workspace)
[ $# -eq 0 ] || packages=("${@/#/--package=}")
jobs=${JOBS:-$(nproc)}
cargo test --locked --target "$target" --jobs "$jobs" --no-run "${packages[@]}"
exec tools/release/with-aarch64.sh cargo test --locked --target "$target" --jobs "$jobs" --no-fail-fast "${packages[@]}" -- \
  --skip fidelity::it_holds_on_a_core_that_others_take_and_the_verdict_says_so \
  --skip fidelity::the_calibration_in_small \
  --skip fidelity::the_kernels_time_is_used_and_is_the_earlier \
  --skip fidelity::nothing_is_parsed_where_times_are_taken \
  --skip fidelity::what_a_run_claims_of_itself_holds \
  --skip tls::what_the_kernel_says_goes_through_tls \
  --skip connections::a_connection_that_may_be_stale_is_opened_anew_before_the_clock
