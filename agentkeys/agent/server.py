"""The driver: one thread and one loop, which takes events to the state machine and does what comes of them.

Nothing wakes an idle agent; the one timer stands at the next deadline.
"""

from collections.abc import Callable

from agentkeys import hardening, wire
from agentkeys.agent.clients import Clients
from agentkeys.agent.deadlines import Deadlines
from agentkeys.agent.door import Door
from agentkeys.agent.epoch import Epoch
from agentkeys.agent.notify import Manager
from agentkeys.agent.place import Place
from agentkeys.agent.poller import now_ms
from agentkeys.agent.poller_here import Poller
from agentkeys.agent.settings import Settings
from agentkeys.agent.unlocker import PATIENCE, Unlocker
from agentkeys.core import agent, events, status
from agentkeys.core.effects import Audit, Close, Effect, NewEpoch, ReadConfig, Reply, SealAudit, SetTimer, Unlock, Wipe
from agentkeys.core.state import AgentState
from agentkeys.errors import AgentkeysError, VaultFault
from agentkeys.stores.audit_log import SYNC_DELAY, AuditLog

Step = Callable[[AgentState, events.Event, int], "list[Effect]"]


class Server:
    """Serves one owner's agent until stopped."""

    def __init__(
        self,
        state: AgentState,
        place: Place,
        settings: Settings,
        log: AuditLog,
        max_connections: int,
        unlocker: Unlocker,
        epoch: Epoch,
        manager: Manager,
    ) -> None:
        self.state = state
        self.step: Step = agent.step
        """The transition function; `agent -d` puts one around it that says what happens."""
        self.place = place
        self.settings = settings
        self.log = log
        self.unlocker = unlocker
        self.epoch = epoch
        self.manager = manager
        self.poller = poller = Poller()
        self.deadlines = deadlines = Deadlines()
        hello = wire.hello(
            state.owner.encode("ascii"), state.facts.version.encode("ascii"), state.facts.home_id.encode("ascii")
        )
        self.clients = Clients(state.owner, hello, poller, deadlines, self.handle, self._gone)
        self.door = Door(place.listener, settings.rule, self.clients, max_connections, poller, deadlines, self.handle)
        self.stopping = False
        self._armed: int | None = None

    def serve(self, *leave: int) -> None:
        """Answer until a stop request, until one of the `leave` descriptors can be read, or the socket is lost."""
        poller, deadlines, clients, door = self.poller, self.deadlines, self.clients, self.door
        for fd in (door.fd, *leave):
            poller.add(fd)
        self._begin()
        while not self.stopping:
            ready = poller.wait()
            deadlines.now = now_ms()
            for fd, what in ready:
                connection = clients.connected.get(fd)
                if connection is not None:
                    clients.ready(connection, what)
                elif fd == door.fd:
                    door.accept()
                elif fd == poller.timer:
                    self._tick()
                elif fd == self.unlocker.fd:
                    self._unlock_ended(self.unlocker.read())
                elif fd in leave or (fd == poller.watch and not self._watched()):
                    self.handle(events.Terminated())
            self._arm()
        self.manager.leaving()
        if self.unlocker.fd >= 0:
            self.unlocker.give_up()
        self._sync()

    def _begin(self) -> None:
        """Start the unlock that was asked for on the command line; the manager is told when it is over."""
        if self.state.renewals.due:
            self.handle(events.Tick())
        if self.unlocker.fd >= 0:
            self.door.hold_all_but(self.unlocker.pid)
        else:
            self._began()
        self._arm()

    def _began(self) -> None:
        """Let callers in, and say that we are there."""
        self.door.let_in()
        self.manager.ready(status.in_a_line(self.state.report(self.deadlines.now)))

    def handle(self, event: events.Event) -> None:
        """Let the state machine decide, and do what it wants done."""
        self._apply(self.step(self.state, event, self.deadlines.now))

    def close(self) -> None:
        """Hang up on everybody."""
        self.clients.close_all()

    def _gone(self, conn: int) -> None:
        """A connection ended, maybe in the middle of an unlock."""
        if conn in self.state.staged:
            self.handle(events.Disconnected(conn))

    # --- effects

    def _apply(self, effects: "list[Effect]") -> None:
        for effect in effects:
            if isinstance(effect, Reply):
                self.clients.reply(effect)
            elif isinstance(effect, (Audit, SealAudit)):
                try:
                    durable = self._record(effect)
                except AgentkeysError:
                    self.handle(events.AuditFailed(effect.conn))
                    return
                if durable:
                    self.handle(events.AuditDurable(effect.conn))
            elif isinstance(effect, Wipe):
                for gone in effect.secrets:
                    gone.wipe()
            elif isinstance(effect, SetTimer):
                self.deadlines.keys = effect.deadline
            elif isinstance(effect, Unlock):
                self._unlock(effect)
            elif isinstance(effect, ReadConfig):
                self._read_config(effect.request)
            elif isinstance(effect, NewEpoch):
                self.epoch.begin()
            elif isinstance(effect, Close):
                if effect.conn in self.clients.connected:
                    self.clients.close(self.clients.connected[effect.conn])
            else:
                self.stopping = True

    def _record(self, effect: "Audit | SealAudit") -> bool:
        """Write a record; whether someone waits for it to be durable, which it then is. Raises VaultFault."""
        if isinstance(effect, SealAudit):
            self.log.seal(effect.key)
            return False
        self.log.append(effect.verb, effect.uid, effect.pid, effect.keys, effect.decision, effect.why)
        if effect.durable:
            self.log.sync()
        elif self.deadlines.sync is None:
            self.deadlines.sync = self.deadlines.now + SYNC_DELAY
        return effect.durable

    def _read_config(self, request: events.Request) -> None:
        """Go by what config.toml says now, and on with the request that waited for it.

        Which is also when values come: under a tracer, none are taken.
        """
        connected = self.clients.connected
        event: events.Event
        try:
            hardening.require_untraced()
            found = self.settings.read()
        except AgentkeysError as fault:
            event = events.ConfigRefused(fault, request)
        else:
            for connection in self.settings.turned_away(connected):
                self.clients.close(connection)
            asker = request if request.conn in connected else None
            event = events.ConfigRead(found.allow_names, found.longest, found.idle, found.inject, asker)
        self.handle(event)

    def _unlock(self, effect: Unlock) -> None:
        fault = self.unlocker.start(effect.request, effect.withheld)
        if fault:
            self.handle(events.UnlockEnded(fault))
            return
        self.deadlines.unlock = self.deadlines.now + PATIENCE
        self.poller.add(self.unlocker.fd)

    def _unlock_ended(self, fault: "str | None") -> None:
        if fault is None:
            return
        self.deadlines.unlock = None
        self.handle(events.UnlockEnded(fault))
        if self.deadlines.hall is not None:
            self._began()

    # --- time

    def _tick(self) -> None:
        """Do what is due."""
        self.poller.clear(self.poller.timer)
        self._armed = None
        deadlines, now = self.deadlines, self.deadlines.now
        if deadlines.keys is not None and deadlines.keys <= now:
            deadlines.keys = None
            self.handle(events.Tick())
        if deadlines.sync is not None and deadlines.sync <= now:
            self._sync()
        if deadlines.sweep is not None and deadlines.sweep <= now:
            self.clients.sweep()
        if deadlines.door is not None and deadlines.door <= now:
            self.door.reopen()
        if deadlines.hall is not None and deadlines.hall <= now:
            self._began()
        if deadlines.unlock is not None and deadlines.unlock <= now:
            self._unlock_ended(self.unlocker.give_up())
        if deadlines.penalty is not None and deadlines.penalty <= now:
            self.clients.release()

    def _sync(self) -> None:
        """Make the log durable. What can't be synced now is said by the next append, which will fail and refuse."""
        self.deadlines.sync = None
        try:
            self.log.sync()
        except VaultFault:
            self.log.close()

    def _arm(self) -> None:
        """Set the one timer to the earliest deadline, if that changed."""
        deadline = self.deadlines.earliest()
        if deadline != self._armed:
            self._armed = deadline
            self.poller.set_timer(deadline)

    def _watched(self) -> bool:
        """Whether the socket's path still leads here, after its directory changed."""
        self.poller.clear(self.poller.watch)
        return self.place.is_ours()
