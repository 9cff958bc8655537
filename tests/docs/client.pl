#!/usr/bin/perl
# Prints one unlocked key: client.pl SOCKET OWNER KEY
use strict; use warnings; use Socket;

my ($path, $owner, $key) = @ARGV;

sub message {    # one message, in one frame
    my $payload = join '', map { pack 'N/a*', $_ } @_;
    return pack('NC', 1 + length $payload, 1) . $payload;
}

sub take {       # that many bytes of the agent's
    my ($count) = @_;
    my $data = '';
    while (length $data < $count) {
        sysread AGENT, $data, $count - length $data, length $data
            or die "the agent hung up\n";
    }
    return $data;
}

sub receive {    # the fields of the next message
    my ($payload, $length, $flags) = ('', 0, 0);
    until ($flags & 1) {
        ($length, $flags) = unpack 'NC', take(5);
        $payload .= take($length - 1);
    }
    return unpack '(N/a*)*', $payload;
}

socket AGENT, AF_UNIX, SOCK_STREAM, 0 or die;
connect AGENT, sockaddr_un($path) or die "no agent at $path\n";
(unpack 'L3', getsockopt AGENT, SOL_SOCKET, 17)[1] == $> or die "not ours\n";
my $hello = message('hello', 'agentkeys', 1, 1, $owner, 'client.pl');
syswrite AGENT, $hello . message('get', 'key', $key);
my (undef, $magic, $low, $high) = receive();
$magic eq 'agentkeys' && $low <= 1 && $high >= 1 or die "no protocol 1\n";
my ($status, %reply) = receive();
$status eq 'ok' or print STDERR "$reply{message}\n" and exit $reply{code};
print $reply{value};
