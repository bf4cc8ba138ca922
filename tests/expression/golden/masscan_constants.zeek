# ip.ttl == 0xff and tcp.window == 0x400 and tcp.dstport != 0x1bb
# Written from Zeek's documentation; not run where it was written.
function andon_match(p: raw_pkt_hdr): bool
	{
	return (p?$ip && p$ip$ttl == 0xff) && (p?$ip && p?$tcp && p$tcp$win == 0x400) && (p?$ip && p?$tcp && port_to_count(p$tcp$dport) != 0x1bb);
	}

event raw_packet(p: raw_pkt_hdr)
	{
	if ( andon_match(p) )
		print fmt("%.6f %s %s", network_time(), p$ip$src, p$ip$dst);
	}
