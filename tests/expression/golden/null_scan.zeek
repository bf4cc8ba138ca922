# tcp.flags == 0 and tcp.seq == 0 and tcp.ack == 0 and ip.dst == 0xc0000207
# Written from Zeek's documentation; not run where it was written.
function andon_match(p: raw_pkt_hdr): bool
	{
	return (p?$ip && p?$tcp && p$tcp$flags == 0) && (p?$ip && p?$tcp && p$tcp$seq == 0) && (p?$ip && p?$tcp && p$tcp$ack == 0) && (p?$ip && addr_to_counts(p$ip$dst)[0] == 0xc0000207);
	}

event raw_packet(p: raw_pkt_hdr)
	{
	if ( andon_match(p) )
		print fmt("%.6f %s %s", network_time(), p$ip$src, p$ip$dst);
	}
