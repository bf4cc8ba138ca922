# ip.id == 0xd431 and tcp.flags == 2
# Written from Zeek's documentation; not run where it was written.
function andon_match(p: raw_pkt_hdr): bool
	{
	return (p?$ip && p$ip$id == 0xd431) && (p?$ip && p?$tcp && p$tcp$flags == 2);
	}

event raw_packet(p: raw_pkt_hdr)
	{
	if ( andon_match(p) )
		print fmt("%.6f %s %s", network_time(), p$ip$src, p$ip$dst);
	}
