#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A pool that is damaged, or of a version that the server does not know, is not served and not changed; what
# the administrator gives up on purpose costs no more than that.
# shellcheck disable=SC2016,SC2317 # perl's variables; `ok` calls the functions
. "${0%/*}/lib.sh"
plan 31
world=$(run_program world) || bail "world has not been built"

# metadata_change MARK OFFSET BYTES: overwrites so far behind the first MARK on an 8-byte boundary. BYTES as perl
# writes them; none flips a bit.
metadata_change()
{
	perl -e '
		my ($name, $mark, $offset, $bytes) = @ARGV;
		open(my $file, "+<:raw", $name) or die "$name: $!\n";
		read($file, my $all, -s $file);
		my $at = index($all, $mark);
		$at = index($all, $mark, $at + 1) while $at > 0 && $at % 8;
		die "$name: no $mark\n" if $at < 0;
		$bytes = $bytes eq "" ? chr(ord(substr($all, $at + $offset, 1)) ^ 4) : eval "qq($bytes)";
		seek($file, $at + $offset, 0) && print $file $bytes or die "$name: $!\n";
		close($file) or die "$name: $!\n";
	' "$run_dir/pool/metadata" "$1" "$2" "$3"
}

server_refused()
{
	refused "$pmu_server" --foreground --pool "$run_dir/pool" --size 1G --listen 127.0.0.1:0 --auth none "$@"
}

answered()
{
	grep -qFe "$1" "$run_dir/refused.err"
}

sums()
{
	(cd "$run_dir/pool" && cksum metadata slots/*)
}

# repaired: the pool is as it was before.
repaired()
{
	rm -rf "$run_dir/pool" && cp -a "$run_dir/sound" "$run_dir/pool"
}

ok "the server starts" start_server
ok "a job makes checkpoints" job kept 2 "$world" protect checkpoint checkpoint
ok "the server stops" stop_server
cp -a "$run_dir/pool" "$run_dir/sound"

# check NAME TEXT: the pool as it is now is refused with this text, and not changed.
check()
{
	before=$(sums)
	ok "$1: the server does not start" server_refused
	ok "$1: it says so" answered "$2"
	is "$1: the pool stays as it is" "$(sums)" "$before"
	repaired
}

metadata_change HOLDFAST 8 '\x63\0\0\0'
check "another version" "has version 99 and this server knows version"
metadata_change HOLDFAST 64 ''
check "a flipped bit in the root record" "the checksum of its root record does not match"
metadata_change JOBJ 60 ''
check "a flipped bit in a job's record" "record of a job (kept?"
metadata_change GREG 4 ''
check "a flipped bit in a region's record" "job kept, rank"
perl -e 'truncate($ARGV[0], (-s $ARGV[0]) / 2) or die' "$run_dir/pool/metadata"
check "truncated metadata" "$run_dir/pool/metadata"
rm "$run_dir/pool/metadata"
before=$(ls "$run_dir/pool/slots")
ok "missing metadata: the server does not start" server_refused
ok "missing metadata: it says so" answered "its metadata is missing"
is "missing metadata: the slot files stay" "$(ls "$run_dir/pool/slots")" "$before"
repaired

file=$(set_flip 1 2 name)
rm "$file"
ok "a missing slot file: the server does not start" server_refused
ok "it says whose, and which" answered "job kept, rank 1, slot"
ok "and that it is missing" answered "slot file ${file##*/}: missing"
ok "a server that is to accept damage starts" start_server --accept-damage
ok "it says what is lost" grep -q "job kept, rank 1, .*(epoch 2): .*THIS SET IS WITHDRAWN" "$run_dir/server.log"
is "the epoch before is the newest" "$(newest_epoch kept)" 1
ok "the job goes on" job kept 2 "$world" protect restore checkpoint
ok "from there" grep -q "restore: success, epoch 1" "$run_dir/kept.out"
ok "the server stops without complaint" stop_server
ok "it starts without accepting damage" start_server
done_testing
