# tcp.seq == rotl32(ip.dst, 7) - (bswap32(tcp.ack) * 0x1000193) or bswap16(udp.srcport) == 5
# Written from Zeek's documentation; not run where it was written.
function andon_match(p: raw_pkt_hdr): bool
	{
	return (p?$ip && p?$tcp && p$tcp$seq == (((((addr_to_counts(p$ip$dst)[0] * 128) & 0xffffffff) | ((addr_to_counts(p$ip$dst)[0] & 0xffffffff) / 33554432)) + 0x100000000 - (((((p$tcp$ack & 0xff) * 16777216) | ((p$tcp$ack & 0xff00) * 256) | ((p$tcp$ack / 256) & 0xff00) | (p$tcp$ack / 16777216)) * 0x1000193) & 0xffffffff)) & 0xffffffff)) || (p?$ip && p?$udp && (((port_to_count(p$udp$sport) & 0xff) * 256) | ((port_to_count(p$udp$sport) / 256) & 0xff)) == 5);
	}

event raw_packet(p: raw_pkt_hdr)
	{
	if ( andon_match(p) )
		print fmt("%.6f %s %s", network_time(), p$ip$src, p$ip$dst);
	}
