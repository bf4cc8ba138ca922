"""Export packets as softflowd 1.1.0 sent them, for captures of a few connections (nDPI's facebook.pcap, quic_sh.pcap).

Each is zlib and base 85. Made with ``softflowd -D -a -r CAPTURE -n HOST:PORT -v VERSION`` and ``-s 4`` (sampled),
``-b`` (biflow), ``-A milli`` or ``-A nano``.
"""

from __future__ import annotations

import base64
import zlib

_PACKETS = {
    "tcp_v5": (
        "c-muNWnf`oV0RBc^nMBNYQY^0P~dcDj>~}++CmHnz{S8Iumr+n6=vLhI*CDw4K4{%3(|w6o|A!r<uFYB=_JP8$m->J!&K1B7"
        "h_-uRRZc+2yzeO?sabH=7aPgsTT%X5eHMh&JERk0J;Ypz5"
    ),
    "tcp_v5_sampled": (
        "c-muNWnf`oV7CcB^nMA?|N0vYVBo;wbZ3ssffd?93<$u)z`!U6VX`nX?mnHwAi)Ng1gQn-K~m2Q)S?Vie>#bAH-i*Hy*zK23"
        "Yz)s3=9%L%&H1<59982Zpi9EYC(EX&1d)lQ@_p)Xg-pA0Eq}2cK"
    ),
    "tcp_ipfix_biflow": (
        "c-mv&Vu}bq^nM8g0|OHS1DMQUVPFtp;9y{3-~nPWAQlB;Mj&PaVlE)&17cgCNCyzJ14X&PGK>stKx_lVtPG3|AoUDIl?_Z#8"
        "Yl*)*&sAfM*<5YgAmd7C_wEXWIjk8#QY2nkUyju1Q=w1n1=q~0QrMhd%B7AM>o_T%nV9E0g!F|KotuZI2a8XSQw3f*Z`;^h("
        "Q1-tHr<&8P34K7<REj$QBrfjNq7L)GyC3%GNK=NGwWC(N9S%0a}pbbZ3ssffd?9U=<9k!VC-opt$E^fB{Cv-KUe-q=0G}SPl"
        "aTP6jD?-Y^x29+rg+4D9X<453Ou88Ku%>)arEIOBkXFoP5Tu!lX6"
    ),
    "udp6_v9": (
        "c-p0sJxjw-7=_OpV;Wl<8}S2dg`m*EB_Oz2>}E%C>exyZp@UEbI|<zcCp&d1f<ti=T%-g<e}$R*A6z<lZjv@7E(I?fE}WeAx"
        "hI#4B^W^d>|&UI10V=jMF(;)p<|iapw=m&G%8J5REf?#m7<#oz6fc8LuxT#m33iqUXBwn;`xfHdgQ4B^^YE=>M<|pA<;vyMT"
        "q(b<?m3t^iGkZyB*z_h<kh0YP#2#_11aAZPaf}NY;@|DqZ?oeS9C@8KbdZG>*ZV!Fqn`>Ctc#(2Cp*OqO&9;@LEk6G>uB*gx"
        "XFG6jfu-GL$`C-$&*Qr2`k%sCdY`9XcNLk-ij6r$4(J0vImc9;;XF#`*;9Xf4A;FY189laiWzQ_;XTTQ(=z^=~5nfLm>&8$k"
        "Pbexm|0>~uT_f<6=zZPpzUj"
    ),
    "udp6_ipfix": (
        "c-p0ru}eZx7{$-`yy@d<<_oRiIY@(pizNgNNkT)8(PUeOMc@!vkW=6mG>A?uQZz_g&=Mj<{ReG1yY&aOICbu`eDYd^F8p|x?"
        ">pbQ=iLj-ct7qrPXL0@%Ro^9F_=(@kR_5JLJVS&D9N*OMMA8G-Hy;fuu0~Kfr1h$XZ1<_czE+gQ|E9<lKdlwsdLQgbM4C!z>"
        "2_iY_fg_Q`Vp)M^>raLyX-Fu)hIFYdfC!<Q<B8lajqStyQyUC*|5vC0i+<n~+FK!XYdFw%B^^T?U7vK{~htW_Q>9?Ts4mP~}"
        "6UCvW1qwY$={S@2Kz9X*HK7QYJ<1Cf5as~!9k8N_!BhO)=HR1{c#As@_efXP|fqER1b@K5~B@aqsAQ4pBU(5Pz%{%C1___+T"
        "1AYXvPbDTrKE={W`?{@|^wOXaso>G$RD^J)N=wu4tB;8fa"
    ),
    "udp6_ipfix_biflow": (
        "c-pm+u}cDR6vw~syv{?*JUMGPhoiy4#S(&uq@bZSnrhRq5F7#vswHd_9KxoCqG*V=pd~~I`zvyG>knvg>ihehI<$044?g#Py"
        "x)88%e&u0%;+6<yjK7bC^Jws0T(t*Op`g1CPEAnBMDMuq)DQT#`TTBB5Py{(op%RpErz=XH0u5@T@4Af>dZ7f28qOf0Y;Xui"
        "9!34@qRmKh9yRIl}6+Le9||%@M%@14`|R84s{!38oatA~SZ7<ZTYvTLq-O>88K<hN53m@~21jTK>3Nt{+tLmGTMy$E`2%Xsq"
        "~=YQJ?ZtiiCKwYI?7wLRY7n867(E<zSccWiR~Bwa@b3hVsL0>69Z;BIdirV|wS31I%6e6m*w6BX6#@@(8IF$^}3!Yea_m*w8"
        "Gd;=cyy?wyho$RHqlkQ#LQMr%|bkPsqeo%V"
    ),
    "udp6_ipfix_nano": (
        "c-mv&VrEF&DZPn-fq{(y1eh2+SQr=t7&sVM7<hnq4v;k$h#7%wCLrblVm=_Y1&VY4F*{I{8!W>JG=Y)928daKn2EuGg%PNdS"
        "aTGhW+3!?aDdz)4a71)Oo2N%K<*&coNhFCFf%AIGJs9&2Z}FX;9xXlU|}=@VgsPcAO-=TtQG@9q&oux<3wi>(U-t5WCVvKqk"
        "egQQMP_@Mq*KFihfFB3D8m<1x9XmF581b6SwcIV|(=Lh8i1CBRg0<!=m{!SY9R1(yn)(@(M)Hdea*Nj1V<=+<;A;w2X1LAW#"
        "5ZC%Va)CK=fSmGZ+4Vr1MsX&J~Qbe&oZA^{FeEP@bq3Vc8l3@3*PtOe0C?@WFLbW;KY+-{IjjTI0#q3gurCNz`yegPFSBfF`"
        "w0%Q^}4QB8@T5oz_1>;wsYNN(#$NgaX`H71R41y8Jx`5ht&%GfC)B{ot(uJvmQ3j}v1)*W?4Umgj7yyC}h~x"
    ),
    "udp6_ipfix_milli": (
        "c-p0rF-t;G9L3N7dDDlM`NCRskOl`SOrb4Fh{$M(AgC?DLTCsq$SH6W8bT)<q-e0Vpe4j5zlF0~AE3plbKet{XM@m%!@b;l&"
        "hH-Xh2MjVcH{$q7kU`TDIf$B3iDKht4B(>HYh(8q%z#8Qa<hm>=PkDutm*L2C_=%oRt$BGRFCwse44IDD{sXrtUE-=ib%BgH"
        "?e|eBk~wOi4jWn%bcA2qB&(fYV(-YCGZOZ@!_}FDc2}tI}oix|lDW7m|hi4KH1bNx<jNbeC$M?K^LO(2INb!0z^Vd1|OJMb9"
        "h8{E+zQZ)|G4B^`?!?xdSMO-gUmx;O%fbm}clawiiAA7%|@IlfrXA*{a+=Po;)VRW}fRmx5$ck=H}lceB)M$crYN?DWm5XFW"
        "5`{vi1{5bB^{%}43tdq$UW1VKtVn(}lYC0iN`qVhk?CHh|zu&)RQ~"
    ),
    "udp6_ipfix_sampled": (
        "c-p0su}eZx7{$-`x;`JzdiX+Xut6FcTwVok2||OmMN@4V7J)-xK}|th&`>(HNYWq;LC_N7Qd>iN&TjnyElr*Kp7!KTLLdC#^"
        "4;^Dd+z1JHf|2OnP&ho=rT}NKoS-drpX*h6Cnn%i9-tPT#`7u34cdmk~I<|28v3koYW^f^a$t6md=qO3*;X;ES+OgpQ}iYDJ"
        "%+n$7}Z6uw(^FR>?AzTS#&@2kdMB(pXQWzxal1aZbF`qk7FdKCIODt6sHo!uxz=B@wp^Z?lb;?zuVm=`WcjFuPy(ceg57p+*"
        "zecNvv5JJNF*Bsvjw3>}>IxPyrFnjP&BoyZ}zSu~Uz=&}wl{~3Ts|3~~;T$}|Nz^B0W%-|{i`XJvxW|!>o3%w6-KRUA4>bul"
        "xl~#vJl*W}Jt-f|v_yvIwODF"
    ),
}


def packet(name: str) -> bytes:
    return zlib.decompress(base64.b85decode(_PACKETS[name]))
