# ip.src != 0xc0000201 and udp.dstport == 0x35
# Written from Zeek's documentation; not run where it was written.
function andon_match(p: raw_pkt_hdr): bool
	{
	return (p?$ip && addr_to_counts(p$ip$src)[0] != 0xc0000201) && (p?$ip && p?$udp && port_to_count(p$udp$dport) == 0x35);
	}

event raw_packet(p: raw_pkt_hdr)
	{
	if ( andon_match(p) )
		print fmt("%.6f %s %s", network_time(), p$ip$src, p$ip$dst);
	}
