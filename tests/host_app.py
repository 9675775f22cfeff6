"""A marketplace's own application over the database that leadclicks shares, in SQLAlchemy 2.

`host_app.py make|read|write DATABASE`, run by tests/front_door/host_app.rs; what is read is printed as JSON.
"""

import json
import sys
from datetime import datetime, timezone

from sqlalchemy import (
    DDL,
    DateTime,
    ForeignKey,
    Index,
    String,
    Text,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


def now() -> datetime:
    """Stores UTC without a time zone, as such an application does."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class LeadClick(Base):
    __tablename__ = "lead_clicks"
    __table_args__ = (Index("ix_lead_clicks_expert_created", "expert_username", "created_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), index=True)
    expert_username: Mapped[str] = mapped_column(String(100), index=True)
    search_query: Mapped[str] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column(DateTime, server_default=func.now(), index=True)


class Expert(Base):
    __tablename__ = "experts"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(100), unique=True, index=True)
    email: Mapped[str] = mapped_column(String(255))
    first_name: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    job_title: Mapped[str] = mapped_column(String(200))
    company: Mapped[str] = mapped_column(String(200))
    bio: Mapped[str] = mapped_column(Text)
    hourly_rate: Mapped[float]
    photo_url: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)


class AdminUser(Base):
    __tablename__ = "admin_users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(100), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))


class Setting(Base):
    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Conversation(Base):
    __tablename__ = "conversations"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), index=True)
    query: Mapped[str] = mapped_column(Text)


class Feedback(Base):
    __tablename__ = "feedback"

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"))
    vote: Mapped[str] = mapped_column(String(4))


class EmailLead(Base):
    __tablename__ = "email_leads"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True, index=True)


class NewsletterSubscriber(Base):
    __tablename__ = "newsletter_subscribers"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)


class UserEvent(Base):
    __tablename__ = "user_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)


# Created by the application's migrations, not its models: full-text search that triggers keep up to date.
for statement in (
    "PRAGMA user_version = 42",
    "CREATE VIRTUAL TABLE experts_fts USING fts5(username, bio, content='experts', content_rowid='id')",
    "CREATE VIRTUAL TABLE queries_fts USING fts5(search_query, content='lead_clicks', content_rowid='id')",
    """CREATE TRIGGER experts_fts_insert AFTER INSERT ON experts BEGIN
         INSERT INTO experts_fts (rowid, username, bio) VALUES (new.id, new.username, new.bio);
       END""",
    """CREATE TRIGGER queries_fts_insert AFTER INSERT ON lead_clicks BEGIN
         INSERT INTO queries_fts (rowid, search_query) VALUES (new.id, new.search_query);
       END""",
    """CREATE TRIGGER queries_fts_delete AFTER DELETE ON lead_clicks BEGIN
         INSERT INTO queries_fts (queries_fts, rowid, search_query)
         VALUES ('delete', old.id, old.search_query);
       END""",
    """CREATE TRIGGER experts_username_stays BEFORE UPDATE OF username ON experts BEGIN
         SELECT RAISE(ABORT, 'a username is for life');
       END""",
):
    event.listen(Base.metadata, "after_create", DDL(statement))


def expert(username: str, first_name: str, last_name: str) -> Expert:
    return Expert(
        username=username,
        email=f"{username}@experts.example.com",
        first_name=first_name,
        last_name=last_name,
        job_title="Advisor",
        company="Example & Sons",
        bio="Advises.\nFor years.",
        hourly_rate=120.0,
    )


def make(session: Session) -> None:
    Base.metadata.create_all(session.connection())
    session.add_all(
        [
            expert("jdoe", "Jane", "Doe"),
            expert("émile", " Émile ", "O'Neil"),
            expert("nameless", "", " "),
            AdminUser(username="admin", password_hash="x"),
            Setting(key="prompt", value="hello"),
            Conversation(id=1, email="trial@example.com", query="rust"),
            Feedback(conversation_id=1, vote="up"),
            EmailLead(email="trial@example.com"),
            NewsletterSubscriber(email="trial@example.com"),
            UserEvent(kind="search"),
        ]
    )


def write(session: Session) -> None:
    click = {"search_query": "from the app"}
    times = [datetime(2026, 1, 2, 3, 4, 5, 6), datetime(2026, 1, 2, 3, 4, 5), now()]
    for at, username in zip(times, ["jdoe", "émile", "nameless"], strict=True):
        email = f"app-{username}@example.com"
        session.add(LeadClick(email=email, expert_username=username, created_at=at, **click))
    # Dated by the column's default, CURRENT_TIMESTAMP, which has no fraction of a second.
    session.add(LeadClick(email="app-default@example.com", expert_username="jdoe", **click))


def read(session: Session) -> list[dict[str, object]]:
    return [
        {
            "email": click.email,
            "expert_username": click.expert_username,
            "search_query": click.search_query,
            "created_at": f"{click.created_at.isoformat(timespec='microseconds')}Z",
            "created_at_type": type(click.created_at).__name__,
            "age_s": (now() - click.created_at).total_seconds(),
            "found_by_search": session.connection().exec_driver_sql(
                "SELECT count(*) FROM queries_fts WHERE rowid = ? AND queries_fts MATCH ?",
                (click.id, f'"{click.search_query}"'),
            ).scalar_one(),
        }
        for click in session.scalars(select(LeadClick).order_by(LeadClick.id))
    ]


def main() -> None:
    command, database = sys.argv[1:]
    engine = create_engine(f"sqlite:///{database}", connect_args={"timeout": 30})
    with Session(engine) as session:
        result = {"make": make, "read": read, "write": write}[command](session)
        session.commit()
    json.dump(result, sys.stdout)


main()
