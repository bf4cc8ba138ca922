# tcp.seq == ip.dst
# Written from Zeek's documentation; not run where it was written.
function andon_match(p: raw_pkt_hdr): bool
	{
	return p?$ip && p?$tcp && p$tcp$seq == addr_to_counts(p$ip$dst)[0];
	}

event raw_packet(p: raw_pkt_hdr)
	{
	if ( andon_match(p) )
		print fmt("%.6f %s %s", network_time(), p$ip$src, p$ip$dst);
	}
