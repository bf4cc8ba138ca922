# ip.src == ip.dst and ip.len == 0x28
# Written from Zeek's documentation; not run where it was written.
function andon_match(p: raw_pkt_hdr): bool
	{
	return (p?$ip && addr_to_counts(p$ip$src)[0] == addr_to_counts(p$ip$dst)[0]) && (p?$ip && p$ip$len == 0x28);
	}

event raw_packet(p: raw_pkt_hdr)
	{
	if ( andon_match(p) )
		print fmt("%.6f %s %s", network_time(), p$ip$src, p$ip$dst);
	}
