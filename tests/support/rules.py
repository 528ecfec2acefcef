"""What a broker allows and what its topics take, changed while it runs."""

from __future__ import annotations

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

_REQUEST_S = 15.0
_EVERYBODY = "User:ANONYMOUS"


class Rules:
    """What the broker allows everybody; without rules everything."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap})

    def forbid(self, kind: ResourceType, name: str, operation: AclOperation = AclOperation.ALL) -> None:
        """Deny the operation, and allow the others."""
        denied = AclBinding(kind, name, ResourcePatternType.LITERAL, _EVERYBODY, "*", operation, AclPermissionType.DENY)
        allowed = AclBinding(
            kind, name, ResourcePatternType.LITERAL, _EVERYBODY, "*", AclOperation.ALL, AclPermissionType.ALLOW
        )
        for made in self._admin.create_acls([denied, allowed]).values():
            made.result(_REQUEST_S)

    def allow(self, kind: ResourceType, name: str) -> None:
        """Take the rules away."""
        rules = AclBindingFilter(
            kind, name, ResourcePatternType.LITERAL, _EVERYBODY, "*", AclOperation.ANY, AclPermissionType.ANY
        )
        for deleted in self._admin.delete_acls([rules]).values():
            deleted.result(_REQUEST_S)

    def limit(self, topic: str, max_message_bytes: int) -> None:
        """Change a topic's ``max.message.bytes``."""
        entry = ConfigEntry("max.message.bytes", str(max_message_bytes), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for changed in self._admin.incremental_alter_configs([resource]).values():
            changed.result(_REQUEST_S)

    def delete(self, topic: str) -> None:
        """Delete a topic with all that is in it."""
        self._admin.delete_topics([topic])[topic].result(_REQUEST_S)
